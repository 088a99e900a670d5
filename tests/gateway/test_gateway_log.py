"""DESIGN.md §7, models §3.6: no secret and no content reaches the log, in either format."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from gateway import log
from gateway.governance_settings import PrivacySettings
from gateway.rules.redaction import log_redactor
from gateway.services.tokens import new_secret


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def written(monkeypatch: pytest.MonkeyPatch, *, as_json: bool) -> str:
    """What a failure with a secret in a local variable leaves in the log."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    log.configure(level="info", json=as_json, redact=log_redactor(PrivacySettings()).text)
    secret = "tgate_" + "secret" * 3
    logger = structlog.get_logger()
    try:
        raise LookupError(f"{len(secret)} characters")
    except LookupError:
        logger.exception("a request broke", action="request_broke", incident="inc_1")
    logging.getLogger("httpx").info("GET https://api.example/bot42:secret/getMe")
    logging.getLogger("somebody.else").warning("hello from a library")
    logging.getLogger("somebody.else").error("cannot reach %s with %s", "ada@example.org", new_secret())
    logger.info(
        "a connection", action="opened", peer={"at": "203.0.113.7", "names": ["+49 30 1234567"]}, chars=12
    )
    return stderr.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_local_variables(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    text = written(monkeypatch, as_json=as_json)
    assert "LookupError: 24 characters" in text
    assert "tgate_" not in text.replace('"tgate_" + "secret" * 3', "")
    assert "bot42" not in text


def test_json_records_are_one_line_each_with_an_action(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs, *_ = [json.loads(line) for line in written(monkeypatch, as_json=True).splitlines()]
    assert (ours["event"], ours["action"], ours["level"]) == ("a request broke", "request_broke", "error")
    assert "LookupError" in ours["exception"]
    assert theirs["event"] == "hello from a library"


@pytest.mark.parametrize("as_json", [True, False])
def test_personal_data_and_secrets_of_libraries_are_masked(
    monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    text = written(monkeypatch, as_json=as_json)
    assert "cannot reach [email] with [secret]" in text
    for leaked in ("ada@", "tgate_" + "A", "203.0.113.7", "1234567"):
        assert leaked not in text
    assert "[ip]" in text and "[phone]" in text


def test_what_gives_access_is_masked_even_where_the_settings_leave_the_log_alone() -> None:
    redact = log_redactor(PrivacySettings(logs=False, detect=("email",))).text
    assert redact(f"ada@example.org has {new_secret()}") == "ada@example.org has [secret]"
