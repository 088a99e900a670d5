"""The app manifest as Slack gets it, as a snapshot: no scope comes in unnoticed; and the command that prints it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from channels.slack.manifest import BOT_EVENTS, BOT_SCOPES, app_manifest, wanted_scopes
from gateway.cli.main import command_line

SNAPSHOT = Path(__file__).parent / "manifest.json"
URL = "https://gate.example.org/hooks/slack/acme/events"


def printed(*options: str) -> dict[str, object]:
    done = CliRunner().invoke(command_line(), ["slack", "manifest", *options])
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.output)
    return found


def test_the_manifest_is_the_one_that_was_reviewed() -> None:
    assert app_manifest() == json.loads(SNAPSHOT.read_text())


def test_the_command_prints_it() -> None:
    assert printed() == app_manifest()


def test_http_differs_only_in_where_slack_sends() -> None:
    socket, http = app_manifest(), app_manifest(http_url=URL)
    assert printed("--http", "https://gate.example.org", "--account", "acme") == http
    assert {name: part for name, part in socket.items() if name not in ("settings", "features")} == {
        name: part for name, part in http.items() if name not in ("settings", "features")
    }
    assert http["settings"]["event_subscriptions"].pop("request_url") == URL
    assert http["settings"]["interactivity"].pop("request_url") == URL
    assert http["features"]["slash_commands"][0].pop("url") == URL
    assert (http["settings"].pop("socket_mode_enabled"), socket["settings"].pop("socket_mode_enabled")) == (
        False,
        True,
    )
    assert http == socket


def test_every_event_has_the_scope_it_needs() -> None:
    needed = {
        "app_mention": "app_mentions:read",
        "message.channels": "channels:history",
        "message.groups": "groups:history",
        "message.im": "im:history",
        "message.mpim": "mpim:history",
    }
    assert {scope for event, scope in needed.items() if event in BOT_EVENTS} <= set(BOT_SCOPES)
    assert set(needed) <= set(BOT_EVENTS)


def test_the_older_experience_needs_one_scope_more() -> None:
    older = app_manifest(experience="assistant")
    assert wanted_scopes("assistant") - wanted_scopes("agent") == {"assistant:write"}
    assert "assistant_view" in older["features"] and "agent_view" not in older["features"]
    assert not {"agent_view", "assistant_view"} & set(app_manifest(experience="none")["features"])


def test_several_workspaces_need_a_way_back() -> None:
    found = printed("--several", "https://gate.example.org/", "--account", "acme")
    assert found["oauth_config"]["redirect_urls"] == [  # type: ignore[index]
        "https://gate.example.org/hooks/slack/acme/oauth_redirect"
    ]


@pytest.mark.parametrize(
    "options", [["--http", "http://gate.example.org"], ["--experience", "x"], ["--command", "ask"]]
)
def test_what_slack_would_not_take_is_refused(options: list[str]) -> None:
    assert CliRunner().invoke(command_line(), ["slack", "manifest", *options]).exit_code == 2
