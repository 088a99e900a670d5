"""Block Kit: which blocks a message or a view may hold, and how much of everything.

Pure. Limits are those of https://docs.slack.dev/reference/block-kit and of the models in Slack's own SDK; the
total of about 13,200 characters was measured by others (slackapi/bolt-js issue 2509). A refusal names the place,
as Slack does. Kinds that this product does not use are accepted by name and looked into only superficially.
"""

from collections.abc import Callable, Iterable, Iterator

from channels.emulators.slack.records import Json
from channels.emulators.slack.refusals import Refusal

MESSAGE_BLOCKS_MAX = 50
VIEW_BLOCKS_MAX = 100
TOTAL_CHARACTERS_MAX = 13_200
MARKDOWN_CHARACTERS_MAX = 12_000
SECTION_CHARACTERS_MAX = 3_000
FIELDS_MAX, FIELD_CHARACTERS_MAX = 10, 2_000
HEADER_CHARACTERS_MAX = 150
ACTIONS_MAX, CONTEXT_MAX, CONTEXT_ACTIONS_MAX = 25, 10, 5
ID_CHARACTERS_MAX = 255
BUTTON_TEXT_MAX, BUTTON_VALUE_MAX, URL_MAX = 75, 2_000, 3_000
OPTIONS_MAX, OPTION_TEXT_MAX, OPTION_VALUE_MAX = 100, 75, 150
CONFIRM_TITLE_MAX, CONFIRM_TEXT_MAX, CONFIRM_BUTTON_MAX = 100, 300, 30
LABEL_MAX, IMAGE_TEXT_MAX = 2_000, 2_000
TABLE_ROWS_MAX, TABLE_COLUMNS_MAX, TABLE_CHARACTERS_MAX = 100, 20, 10_000
CHARTS_MAX = 2
VIEW_TEXT_MAX, PRIVATE_METADATA_MAX = 24, 3_000

_SELECTS = frozenset(
    f"{many}{kind}_select"
    for many in ("", "multi_")
    for kind in ("static", "external", "users", "conversations", "channels")
)
_INPUTS = frozenset(
    (
        *("plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input"),
        *("file_input", "checkboxes", "radio_buttons", "datepicker", "timepicker", "datetimepicker"),
        *_SELECTS,
    )
)
_CHOICES = ("static_select", "multi_static_select", "checkboxes", "radio_buttons", "overflow")
_ACTIONS = (_INPUTS - {"email_text_input", "url_text_input", "number_input", "file_input"}) | {
    *("button", "overflow", "workflow_button", "icon_button", "feedback_buttons")
}
_ACCESSORIES = _ACTIONS | {"image"}
_EVERYWHERE = frozenset(
    ("actions", "context", "divider", "header", "image", "input", "rich_text", "section", "video")
)
_MESSAGE_KINDS = _EVERYWHERE | frozenset(
    (
        *("markdown", "table", "data_table", "data_visualization", "file", "context_actions", "call"),
        *("task_card", "plan", "alert", "card", "carousel", "container"),
    )
)
_VIEW_KINDS = _EVERYWHERE | {"alert", "card", "carousel", "container"}


class _Place:
    """Where in the JSON something is, for the refusal."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __truediv__(self, name: object) -> "_Place":
        return _Place(f"{self.path}/{name}")

    def refusal(self, problem: str) -> Refusal:
        return Refusal("invalid_blocks", f"{problem} [json-pointer:{self.path}]")


def check_message_blocks(blocks: list[Json]) -> None:
    """Whether a message may hold them. Raises Refusal (`invalid_blocks`, `msg_blocks_too_long`)."""
    _check_blocks(blocks, _MESSAGE_KINDS, MESSAGE_BLOCKS_MAX, _Place("/blocks"))
    markdown = sum(len(str(block.get("text", ""))) for block in blocks if block["type"] == "markdown")
    if markdown > MARKDOWN_CHARACTERS_MAX or _characters(blocks) > TOTAL_CHARACTERS_MAX:
        raise Refusal("msg_blocks_too_long")


def check_view(view: Json) -> None:
    """Whether it is a modal or an App Home that can be shown. Raises Refusal (`invalid_arguments`)."""
    place = _Place("/view")
    try:
        if view.get("type") not in ("modal", "home"):
            raise place.refusal("unsupported type")
        if view["type"] == "modal":
            _plain_text(view.get("title"), VIEW_TEXT_MAX, place / "title")
        for name in ("submit", "close"):
            if view.get(name) is not None:
                _plain_text(view[name], VIEW_TEXT_MAX, place / name)
        _short(view.get("callback_id", ""), ID_CHARACTERS_MAX, place / "callback_id")
        _short(view.get("private_metadata", ""), PRIVATE_METADATA_MAX, place / "private_metadata")
        blocks = view.get("blocks")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise place.refusal("missing required field: blocks")
        _check_blocks(blocks, _VIEW_KINDS, VIEW_BLOCKS_MAX, place / "blocks")
        has_input = any(block["type"] == "input" for block in blocks)
        if view["type"] == "modal" and has_input and view.get("submit") is None:
            raise place.refusal("a modal with inputs needs a submit button")
    except Refusal as refusal:
        raise Refusal("invalid_arguments", *refusal.messages) from None


def elements_of(blocks: Iterable[Json]) -> Iterator[tuple[Json, Json]]:
    """Every interactive element with the block it is in."""
    for block in blocks:
        found = list(block.get("elements", [])) if block.get("type") in ("actions", "context_actions") else []
        found += [block[name] for name in ("accessory", "element") if isinstance(block.get(name), dict)]
        for element in found:
            if "action_id" in element:
                yield block, element


def with_ids(blocks: list[Json]) -> list[Json]:
    """The blocks as Slack keeps them: every block and every interactive element has an id."""
    kept: list[Json] = []
    for place, block in enumerate(blocks):
        copy = {**block, "block_id": block.get("block_id") or f"b{place}"}
        if copy["type"] in ("actions", "context_actions"):
            copy["elements"] = [
                {**element, "action_id": element.get("action_id") or f"{copy['block_id']}-{number}"}
                for number, element in enumerate(copy["elements"])
            ]
        for name in ("accessory", "element"):
            if isinstance(copy.get(name), dict) and copy[name].get("type") != "image":
                copy[name] = {"action_id": f"{copy['block_id']}-{name}", **copy[name]}
        kept.append(copy)
    return kept


def _check_blocks(blocks: list[Json], kinds: frozenset[str], most: int, place: _Place) -> None:
    if len(blocks) > most:
        raise place.refusal(f"no more than {most} items allowed")
    block_ids: set[str] = set()
    action_ids: set[str] = set()
    for number, block in enumerate(blocks):
        here = place / number
        kind = block.get("type")
        if kind not in kinds:
            raise (here / "type").refusal(f"unsupported type: {kind}")
        block_id = _short(block.get("block_id", ""), ID_CHARACTERS_MAX, here / "block_id")
        if block_id and block_id in block_ids:
            raise here.refusal("block_id must be unique")
        block_ids.add(block_id)
        if (check := _CHECKS.get(str(kind))) is not None:
            check(block, here)
        for _, element in elements_of([block]):
            if element["action_id"] in action_ids:
                raise here.refusal(f"action_id {element['action_id']} must be unique")
            action_ids.add(element["action_id"])
    if sum(block["type"] == "data_visualization" for block in blocks) > CHARTS_MAX:
        raise place.refusal(f"no more than {CHARTS_MAX} charts allowed")


def _section(block: Json, place: _Place) -> None:
    fields = block.get("fields")
    if block.get("text") is None and not fields:
        raise place.refusal("missing required field: text")
    if block.get("text") is not None:
        _text(block["text"], SECTION_CHARACTERS_MAX, place / "text")
    for number, one in enumerate(_items(fields or [], 0, FIELDS_MAX, place / "fields")):
        _text(one, FIELD_CHARACTERS_MAX, place / "fields" / number)
    if block.get("accessory") is not None:
        _element(block["accessory"], _ACCESSORIES, place / "accessory")


def _header(block: Json, place: _Place) -> None:
    _plain_text(block.get("text"), HEADER_CHARACTERS_MAX, place / "text")


def _markdown(block: Json, place: _Place) -> None:
    text = block.get("text")
    if not isinstance(text, str) or not text:
        raise (place / "text").refusal("must be a non-empty string")
    _short(text, MARKDOWN_CHARACTERS_MAX, place / "text")


def _actions(block: Json, place: _Place) -> None:
    for number, one in enumerate(_items(block.get("elements"), 1, ACTIONS_MAX, place / "elements")):
        _element(one, _ACTIONS, place / "elements" / number)


def _context_actions(block: Json, place: _Place) -> None:
    for number, one in enumerate(_items(block.get("elements"), 1, CONTEXT_ACTIONS_MAX, place / "elements")):
        _element(one, frozenset(("feedback_buttons", "icon_button")), place / "elements" / number)


def _context(block: Json, place: _Place) -> None:
    for number, one in enumerate(_items(block.get("elements"), 1, CONTEXT_MAX, place / "elements")):
        here = place / "elements" / number
        if one.get("type") == "image":
            _image(one, here)
        else:
            _text(one, SECTION_CHARACTERS_MAX, here)


def _input(block: Json, place: _Place) -> None:
    _plain_text(block.get("label"), LABEL_MAX, place / "label")
    if block.get("hint") is not None:
        _plain_text(block["hint"], LABEL_MAX, place / "hint")
    element = block.get("element")
    if not isinstance(element, dict):
        raise place.refusal("missing required field: element")
    _element(element, _INPUTS, place / "element")


def _image(block: Json, place: _Place) -> None:
    if not block.get("image_url") and not block.get("slack_file"):
        raise place.refusal("missing required field: image_url")
    _short(block.get("image_url", ""), URL_MAX, place / "image_url")
    if not _short(block.get("alt_text"), IMAGE_TEXT_MAX, place / "alt_text"):
        raise place.refusal("missing required field: alt_text")


def _rich_text(block: Json, place: _Place) -> None:
    known = ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
    for number, one in enumerate(_items(block.get("elements"), 0, None, place / "elements")):
        if one.get("type") not in known:
            raise (place / "elements" / number).refusal(f"unsupported type: {one.get('type')}")


def _table(block: Json, place: _Place) -> None:
    rows = block.get("rows")
    if not isinstance(rows, list) or not 1 <= len(rows) <= TABLE_ROWS_MAX:
        raise (place / "rows").refusal(f"must have 1 to {TABLE_ROWS_MAX} rows")
    for number, row in enumerate(rows):
        cells = _items(row, 1, TABLE_COLUMNS_MAX, place / "rows" / number)
        for cell in cells:
            if cell.get("type") not in ("raw_text", "rich_text", "raw_number"):
                raise (place / "rows" / number).refusal(f"unsupported type: {cell.get('type')}")
    if _characters(rows) > TABLE_CHARACTERS_MAX:
        raise place.refusal(f"must be less than {TABLE_CHARACTERS_MAX + 1} characters")


def _element(element: object, kinds: frozenset[str], place: _Place) -> None:
    if not isinstance(element, dict) or element.get("type") not in kinds:
        kind = element.get("type") if isinstance(element, dict) else None
        raise (place / "type").refusal(f"unsupported type: {kind}")
    if element["type"] == "image":
        _image(element, place)
        return
    _short(element.get("action_id", ""), ID_CHARACTERS_MAX, place / "action_id")
    if element.get("confirm") is not None:
        _confirm(element["confirm"], place / "confirm")
    if element["type"] == "button":
        _button(element, place)
    elif "options" in element:
        _options(element["options"], place / "options")
    elif element["type"] in _CHOICES and not element.get("option_groups"):
        raise place.refusal("missing required field: options")


def _button(element: Json, place: _Place) -> None:
    _plain_text(element.get("text"), BUTTON_TEXT_MAX, place / "text")
    _short(element.get("value", ""), BUTTON_VALUE_MAX, place / "value")
    _short(element.get("url", ""), URL_MAX, place / "url")
    if element.get("style", "primary") not in ("primary", "danger"):
        raise (place / "style").refusal("must be primary or danger")


def _options(options: object, place: _Place) -> None:
    for number, option in enumerate(_items(options, 1, OPTIONS_MAX, place)):
        _text(option.get("text"), OPTION_TEXT_MAX, place / number / "text")
        _short(option.get("value"), OPTION_VALUE_MAX, place / number / "value")


def _confirm(confirm: object, place: _Place) -> None:
    if not isinstance(confirm, dict):
        raise place.refusal("must be an object")
    _plain_text(confirm.get("title"), CONFIRM_TITLE_MAX, place / "title")
    _text(confirm.get("text"), CONFIRM_TEXT_MAX, place / "text")
    for name in ("confirm", "deny"):
        _plain_text(confirm.get(name), CONFIRM_BUTTON_MAX, place / name)


def _plain_text(value: object, most: int, place: _Place) -> None:
    if isinstance(value, dict) and value.get("type") != "plain_text":
        raise (place / "type").refusal("must be plain_text")
    _text(value, most, place)


def _text(value: object, most: int, place: _Place) -> None:
    if not isinstance(value, dict) or value.get("type") not in ("plain_text", "mrkdwn"):
        raise place.refusal("must be a text object")
    if not _short(value.get("text"), most, place / "text"):
        raise (place / "text").refusal("must be more than 0 characters")


def _short(value: object, most: int, place: _Place) -> str:
    if not isinstance(value, str):
        raise place.refusal("must be a string")
    if len(value) > most:
        raise place.refusal(f"must be less than {most + 1} characters")
    return value


def _items(value: object, least: int, most: int | None, place: _Place) -> list[Json]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise place.refusal("must be an array of objects")
    if len(value) < least or (most is not None and len(value) > most):
        raise place.refusal(f"must have {least} to {most} items")
    return value


def _characters(node: object) -> int:
    """The text that is shown, however deep."""
    if isinstance(node, list):
        return sum(_characters(one) for one in node)
    if not isinstance(node, dict):
        return 0
    return sum(
        len(value) if name == "text" and isinstance(value, str) else _characters(value)
        for name, value in node.items()
    )


_CHECKS: dict[str, Callable[[Json, _Place], None]] = {
    "section": _section,
    "header": _header,
    "markdown": _markdown,
    "actions": _actions,
    "context": _context,
    "context_actions": _context_actions,
    "input": _input,
    "image": _image,
    "rich_text": _rich_text,
    "table": _table,
}
