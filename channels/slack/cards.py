"""Cards and the form for a reason, as Block Kit. Pure. https://docs.slack.dev/reference/block-kit/blocks

What a button or a form carries comes back with a press: an opaque value, looked up by the core and never trusted.
"""

import json
from collections.abc import Sequence
from typing import Any

from channels.messages import Action, Card
from channels.slack.capabilities import ACTIONS_MAX
from channels.slack.places import Place
from channels.slack.received import FormWanted

ACTION = "threadgate:"
REASON_ACTION = "threadgate:reason:"
FORM = "threadgate:reason"
REASON_BLOCK = "reason"
REASON_INPUT = "text"

# Header text, button text, modal title and submit: the limits of Block Kit, in characters.
_HEADER_MAX = 150
_LABEL_MAX = 75
_MODAL_LABEL_MAX = 24
# Of a plain text input; enough for a reason, and it fits a journal line.
_REASON_MAX = 1000
_STYLES = ("primary", "danger")


def card_blocks(card: Card, body: Sequence[dict[str, Any]], outcome: Sequence[dict[str, Any]]) -> list[Any]:
    """The blocks of a card; `body` and `outcome` are rendered already. A settled one has no buttons."""
    header = {"type": "header", "text": _plain(card.title, _HEADER_MAX)}
    buttons = [_button(number, action) for number, action in enumerate(card.actions[:ACTIONS_MAX])]
    actions = [{"type": "actions", "elements": buttons}] if buttons else []
    return [header, *body, *outcome, *actions]


def form_view(form: FormWanted) -> dict[str, Any]:
    """The modal that asks for a reason."""
    title = form.label or "Reason"
    return {
        "type": "modal",
        "callback_id": FORM,
        "private_metadata": _context(form),
        "title": _plain(title, _MODAL_LABEL_MAX),
        "submit": _plain("Send", _MODAL_LABEL_MAX),
        "close": _plain("Cancel", _MODAL_LABEL_MAX),
        "blocks": [
            {
                "type": "input",
                "block_id": REASON_BLOCK,
                "optional": True,
                "label": _plain("Reason", _LABEL_MAX),
                "element": {
                    "type": "plain_text_input",
                    "action_id": REASON_INPUT,
                    "multiline": True,
                    "max_length": _REASON_MAX,
                },
            }
        ],
    }


def form_error(says: str) -> dict[str, Any]:
    """The answer to a submission that was not taken: shown in the form."""
    return {"response_action": "errors", "errors": {REASON_BLOCK: says[:_REASON_MAX]}}


def context_of(private_metadata: str) -> tuple[Place, str | None, str]:
    """Place, message and value of the button behind a form. Raises ValueError or KeyError."""
    stored = json.loads(private_metadata)
    place = Place(stored["team"], stored["channel"], stored["thread_ts"])
    return place, stored["message_ts"], stored["value"]


def _context(form: FormWanted) -> str:
    place = form.place
    return json.dumps(
        {
            "team": place.team,
            "channel": place.channel,
            "thread_ts": place.thread_ts,
            "message_ts": form.message_ts,
            "value": form.value,
        }
    )


def _button(number: int, action: Action) -> dict[str, Any]:
    button: dict[str, Any] = {
        "type": "button",
        "action_id": f"{REASON_ACTION if action.asks_reason else ACTION}{number}",
        "text": _plain(action.label, _LABEL_MAX),
        "value": action.value,
    }
    return button | ({"style": action.style} if action.style in _STYLES else {})


def _plain(text: str, most: int) -> dict[str, Any]:
    """A plain text object: Slack reads nothing in it but emoji names, and those not either."""
    shown = " ".join(text.split()) or "…"
    shown = shown if len(shown) <= most else f"{shown[: most - 1]}…"
    return {"type": "plain_text", "text": shown, "emoji": False}
