"""A card -> one message with an inline keyboard. Pure.

Telegram has no forms: a button that would ask for a reason just decides. A settled card has no keyboard, and an
edit without one takes it away.
"""

from channels.document import Blocks, Document, Paragraph, Strong, Text
from channels.markdown import parse_markdown
from channels.messages import Action, Card, Rendered
from channels.split import split_document
from channels.telegram.capabilities import BUTTON_VALUE_MAX_BYTES, BUTTONS_PER_ROW, TEXT_MAX_UTF16
from channels.telegram.render import message_size, render_document

# Titles and outcomes are lines: longer ones would leave no room for what it is about. In characters.
_LINE_MAX = 512
# The blank lines between the three parts, and the mark of a cut.
_JOINTS_UTF16 = 16
_CUT = Paragraph((Text("…"),))


def render_card(card: Card) -> Rendered:
    """The card as one message; what it is about is cut where it does not fit.

    Raises ValueError for an action whose value no button can carry.
    """
    head: Blocks = (Paragraph((Strong((Text(_line(card.title)),)),)),)
    tail: Blocks = (Paragraph((Text(_line(card.outcome)),)),) if card.outcome else ()
    room = TEXT_MAX_UTF16 - message_size(Document(head + tail)) - _JOINTS_UTF16
    parts = split_document(parse_markdown(card.body), room, message_size)
    body = parts[0].blocks if parts else ()
    cut: Blocks = (_CUT,) if len(parts) > 1 else ()
    content = render_document(Document(head + body + cut + tail))
    keyboard = [[_button(action) for action in row] for row in _rows(card.actions)]
    return Rendered(content.text, {**content.payload, "keyboard": keyboard} if keyboard else content.payload)


def _line(text: str) -> str:
    # The characters that no network takes are replaced where markdown is parsed; this is no markdown.
    words = " ".join(text.replace("\0", "\ufffd").split())
    return words if len(words) <= _LINE_MAX else words[: _LINE_MAX - 1] + "…"


def _rows(actions: tuple[Action, ...]) -> list[tuple[Action, ...]]:
    return [actions[start : start + BUTTONS_PER_ROW] for start in range(0, len(actions), BUTTONS_PER_ROW)]


def _button(action: Action) -> dict[str, str]:
    if not 1 <= len(action.value.encode()) <= BUTTON_VALUE_MAX_BYTES:
        raise ValueError(f"a button carries 1 to {BUTTON_VALUE_MAX_BYTES} bytes")
    button = {"text": _line(action.label), "callback_data": action.value}
    # Styles came with Bot API 9.4; older servers ignore the field.
    return button if action.style == "default" else {**button, "style": action.style}
