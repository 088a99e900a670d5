"""The app manifest: what to paste at api.slack.com/apps so that Slack knows the app. Pure.

The least scopes the adapter works with, each with its reason. Sockets and HTTP differ only in `settings`.
https://docs.slack.dev/reference/app-manifest
"""

from collections.abc import Sequence
from typing import Any

# Scope -> why. Nothing else is asked for.
BOT_SCOPES = {
    "app_mentions:read": "hear when somebody mentions the bot",
    "chat:write": "answer, edit answers, stream, show a status",
    "commands": "the slash command",
    "channels:history": "hear public channels the bot is in, find its own messages again, catch up",
    "groups:history": "the same in private channels",
    "im:history": "the same in direct conversations",
    "mpim:history": "the same in group conversations",
    "reactions:write": "receipts",
    "files:read": "fetch files people send",
    "files:write": "send files",
    "users:read": "names, and who is a guest",
}
BOT_EVENTS = (
    *("app_mention", "message.channels", "message.groups", "message.im", "message.mpim"),
    *("app_home_opened", "tokens_revoked", "app_uninstalled"),
)
# Of the older experience for agents.
ASSISTANT_SCOPE = "assistant:write"
ASSISTANT_EVENTS = ("assistant_thread_started",)

DEFAULT_NAME = "Threadgate"
DEFAULT_COMMAND = "/threadgate"
_DESCRIPTION = "Talk to your agent: in direct messages, in threads, in channels."


def wanted_scopes(experience: str) -> set[str]:
    """The scopes a token should have."""
    return set(BOT_SCOPES) | ({ASSISTANT_SCOPE} if experience == "assistant" else set())


def app_manifest(
    *,
    name: str = DEFAULT_NAME,
    command: str = DEFAULT_COMMAND,
    experience: str = "agent",
    http_url: str | None = None,
    redirect_urls: Sequence[str] = (),
) -> dict[str, Any]:
    """The manifest. `http_url` is where Slack sends requests (`https://…/hooks/slack/<account>/events`); without it
    the app uses Socket Mode. `redirect_urls` are for installing it in several workspaces."""
    events = [*BOT_EVENTS, *(ASSISTANT_EVENTS if experience == "assistant" else ())]
    slash = {
        "command": command,
        "description": "Ask the agent",
        "usage_hint": "what you want",
        "should_escape": False,
    }
    if http_url is not None:
        slash["url"] = http_url
    oauth: dict[str, Any] = {"scopes": {"bot": sorted(wanted_scopes(experience))}}
    if redirect_urls:
        oauth["redirect_urls"] = list(redirect_urls)
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {"name": name, "description": _DESCRIPTION},
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "slash_commands": [slash],
            **_experience(experience),
        },
        "oauth_config": oauth,
        "settings": _settings(events, http_url),
    }


def _experience(experience: str) -> dict[str, Any]:
    match experience:
        case "agent":
            return {"agent_view": {"agent_description": _DESCRIPTION}}
        case "assistant":
            return {"assistant_view": {"assistant_description": _DESCRIPTION}}
    return {}


def _settings(events: Sequence[str], http_url: str | None) -> dict[str, Any]:
    subscriptions: dict[str, Any] = {"bot_events": sorted(events)}
    interactivity: dict[str, Any] = {"is_enabled": True}
    if http_url is not None:
        subscriptions["request_url"] = http_url
        interactivity["request_url"] = http_url
    return {
        "event_subscriptions": subscriptions,
        "interactivity": interactivity,
        "org_deploy_enabled": False,
        "socket_mode_enabled": http_url is None,
        "token_rotation_enabled": False,
    }
