"""`serve`, `demo`, `emulate`, `--version`: what they say when they start, and when they cannot."""

import json
import re
import signal
import socket
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from cli_process import Cli, stop, wait_for

from channels.registry import SETTINGS_BY_KIND
from gateway.composition.front import VERSION

OPENER: Final = build_opener(ProxyHandler({}))


def test_the_version(cli: Cli) -> None:
    assert cli.lines("--version") == [f"threadgate {VERSION}"]


def test_help_names_every_command(cli: Cli) -> None:
    text = "\n".join(cli.run("--help").stdout.splitlines())
    commands = "serve demo emulate chat send tail threads runs agents channels doctor token pairing audit"
    assert all(f" {command} " in text for command in commands.split())


def test_the_owner_token_is_shown_once_and_works(cli: Cli) -> None:
    with cli.serving() as said:
        token = re.search(r"tgate_\S+", said)
        assert token is not None, said
        assert cli.lines("send", "say hello", "--url", cli.url, "--token", token[0]) == ["hello"]
    assert not (cli.data_dir / "gateway.json").exists()
    with cli.serving() as said:
        assert "tgate_" not in said


def test_a_first_start_that_fails_does_not_cost_the_token(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = cli.refused("serve", "--port", str(port))
        assert f"Port {port} of 127.0.0.1 is taken" in said
        assert f"--port {port + 1}" in said
    with cli.serving() as said:
        assert "tgate_" in said


def test_a_second_gateway_on_the_same_directory_is_refused(running: Cli) -> None:
    said = running.refused("serve", "--port", "0")
    assert f"Another threadgate already uses {running.data_dir}" in said


def test_an_address_that_is_not_ours(cli: Cli) -> None:
    cli.variables["THREADGATE_BEHIND_TLS_PROXY"] = "true"
    assert "192.0.2.1" in cli.refused("serve", "--host", "192.0.2.1", "--port", "0")
    assert "nowhere.invalid" in cli.refused("serve", "--host", "nowhere.invalid", "--port", "0")


def test_the_demo_takes_free_ports_and_says_where(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        taken = [str(found.getsockname()[1]) for found in (one, two)]
        demo = cli.start("demo", "--port", taken[0], "--playground-port", taken[1])
        wait_for(lambda: (cli.data_dir / "gateway.json").exists() or demo.poll() is not None)
        assert cli.lines("send", "say hello") == ["hello"]
        channels = cli.json("channels")
        out, said = stop(demo, signal.SIGINT)
    assert demo.returncode == 0
    assert {channel["id"] for channel in channels} == {"slack:demo", "telegram:demo", "discord:demo"}
    assert all(f"port {port} is taken" in said for port in taken)
    assert "threadgate chat --data-dir" in out
    assert f":{taken[0]} " not in out


@contextmanager
def emulating(cli: Cli, *args: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """`threadgate emulate`: where the page is, and the tables that it prints for the configuration."""
    process = cli.start("emulate", *args, "--port", "0")
    assert process.stdout is not None
    said = "".join(iter(process.stdout.readline, "Ctrl-C stops it.\n"))
    url = re.search(r"http://127\.0\.0\.1:\d+", said)
    assert url is not None, said
    (tables,) = tomllib.loads(said[said.index("[[") :]).values()
    yield url[0], tables
    stop(process, signal.SIGINT)


@pytest.mark.parametrize(
    ("kind", "token"), [("slack", "xoxb-mine"), ("telegram", "700:mine"), ("discord", "mine")]
)
def test_an_emulator_says_what_to_configure_and_has_a_page(cli: Cli, kind: str, token: str) -> None:
    with emulating(cli, kind, "--token", token) as (url, (channel,)):
        assert b"<title>" in OPENER.open(f"{url}/").read()
    settings = SETTINGS_BY_KIND[kind].model_validate(channel)
    assert token in (channel.get("token"), channel.get("bot_token"))
    assert settings.kind == kind
    assert settings.api_base_url.startswith(url)


def test_all_emulators_share_one_page(cli: Cli) -> None:
    with emulating(cli, "all") as (url, channels):
        for kind in SETTINGS_BY_KIND:
            assert len(json.load(OPENER.open(f"{url}/{kind}/control/bots"))) == 1
    assert {channel["kind"] for channel in channels} == set(SETTINGS_BY_KIND)


def test_the_endpoint_for_models_says_what_to_configure_and_answers(cli: Cli) -> None:
    with emulating(cli, "openai", "--token", "mine") as (url, (agent,)):
        assert agent == {
            "id": "model",
            "kind": "model",
            "model": "demo",
            "base_url": f"{url}/v1",
            "api_key": "mine",
        }
        listed = Request(f"{url}/v1/models", headers={"Authorization": "Bearer mine"})
        assert json.loads(OPENER.open(listed).read())["data"][0]["id"] == "demo"


def test_an_emulator_needs_a_token_that_could_be_one(cli: Cli) -> None:
    assert "no bot token" in cli.refused("emulate", "telegram", "--token", "abc")
    assert "no bot token" in cli.refused("emulate", "slack", "--token", "abc")
    assert "Name one" in cli.refused("emulate", "all", "--token", "abc")
    assert "There are: slack, telegram, discord, openai, all" in cli.refused("emulate", "matrix")
