"""Secrets are references; whatever the settings hold is never shown, nor written back resolved."""

import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from channels.registry import SETTINGS_BY_KIND
from channels.secrets import resolve_secret
from gateway.agent_settings import AnyAgent
from gateway.settings import Settings, SettingsError, channel_settings, load

CANARY = "canary-5f2c-do-not-show"
SECRETIVE = re.compile(r"(^|_)(token|secret|key|password|credential)s?$|headers|^env$")
NO_SECRETS = {
    ("AuditSettings", "signing_key"): "a path",
    ("ModelSettings", "max_tokens"): "a number",
}


def models() -> dict[str, type[BaseModel]]:
    """Every model of the settings: tables, tables in tables, kinds of agents and of channels."""
    found: dict[str, type[BaseModel]] = {}

    def visit(annotation: Any) -> None:
        is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        if is_model and annotation.__name__ not in found:
            found[annotation.__name__] = annotation
            for field in annotation.model_fields.values():
                visit(field.annotation)
        for inner in get_args(annotation):
            visit(inner)

    visit(Settings)
    visit(AnyAgent)
    for model in SETTINGS_BY_KIND.values():
        visit(model)
    return found


def fields() -> Iterator[tuple[str, str, Any]]:
    for name, model in models().items():
        for key, field in model.model_fields.items():
            yield name, key, field.annotation


def holds_secrets(annotation: Any) -> bool:
    return annotation is SecretStr or any(holds_secrets(inner) for inner in get_args(annotation))


def test_every_setting_that_is_called_like_a_secret_is_one() -> None:
    assert len(models()) > 20
    bare = {
        (name, key)
        for name, key, annotation in fields()
        if SECRETIVE.search(key) and not holds_secrets(annotation)
    }
    assert bare == NO_SECRETS.keys()


def with_secrets() -> Settings:
    """A configuration with a secret, given as it is, wherever there is room for one."""
    given: dict[str, Any] = {
        "vault_key": CANARY,
        "agents": [
            {"kind": "model", "id": "m", "model": "openai:gpt-5", "api_key": CANARY},
            {
                "kind": "http",
                "id": "h",
                "url": "https://a.example/",
                "api_key": CANARY,
                "headers": {"X": CANARY},
            },
            {"kind": "acp", "id": "a", "command": ["x"], "cwd": "/", "env": {"KEY": CANARY}},
        ],
        "audit": {
            "sinks": [{"name": "s", "kind": "http", "url": "https://s.example/", "headers": {"A": CANARY}}]
        },
        "channels": [
            {"kind": "telegram", "account": "t", "token": CANARY},
            {"kind": "discord", "account": "d", "token": CANARY},
            {"kind": "slack", "account": "s", "app_token": CANARY, "bot_token": CANARY},
        ],
    }
    return Settings(**given)


def test_no_secret_is_shown_however_settings_are_written_out() -> None:
    settings = with_secrets()
    every = [settings, *settings.agents, *settings.audit.sinks, *channel_settings(settings)]
    for one in every:
        dumped = one.model_dump(exclude={"channels"} if one is settings else None)
        for text in (repr(one), str(one), f"{one}", str(dumped)):
            assert CANARY not in text


def test_a_traceback_with_settings_in_it_shows_none() -> None:
    settings = with_secrets()
    try:
        raise LookupError(f"no such thing in {settings!r}")
    except LookupError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "LookupError" in text and CANARY not in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"vault_key": [CANARY]},
        {"vault_key": {"a": CANARY}},
        {"agents": [{"kind": "model", "id": "m", "model": "openai:x", "api_key": [CANARY]}]},
        {"agents": [{"kind": "http", "id": "h", "url": "https://a.example/", "headers": {"X": [CANARY]}}]},
        {"channels": [{"kind": "telegram", "account": "t", "token": [CANARY]}]},
        {"channels": [{"kind": "slack", "account": "s", "bot_tokne": CANARY}]},
        {"audit": {"sinks": [{"name": "s", "kind": "http", "headers": {"A": CANARY}}]}},
    ],
)
def test_what_is_wrong_is_said_without_the_value(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, wrong, {"XDG_CONFIG_HOME": str(tmp_path)})
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=False).format())
    assert CANARY not in str(caught.value) and CANARY not in shown


def test_a_reference_stays_one_after_it_was_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_TOKEN", CANARY)
    settings = Settings(
        channels=({"kind": "telegram", "account": "t", "token": "env:THE_TOKEN"},),
        vault_key=SecretStr("env:THE_TOKEN"),
    )
    (telegram,) = channel_settings(settings)
    assert resolve_secret(telegram.token) == CANARY  # type: ignore[union-attr]
    assert telegram.token.get_secret_value() == "env:THE_TOKEN"  # type: ignore[union-attr]
    assert settings.vault_key is not None and settings.vault_key.get_secret_value() == "env:THE_TOKEN"
    assert CANARY not in str(settings.model_dump()) + str(telegram.model_dump())


def test_pydantic_itself_hides_what_it_refuses() -> None:
    """What `load` turns into sentences is never raised as it is: it would quote the input."""
    with pytest.raises(ValidationError) as caught:
        Settings(vault_key=[CANARY])  # type: ignore[arg-type]
    assert CANARY in str(caught.value), "if this changes, `load` need not translate any more"
