"""Message and modal components: what the network accepts, and how to find one again. Pure.

Limits: components/reference.mdx of discord-api-docs. Plain messages hold action rows; with the flag
IS_COMPONENTS_V2 they hold every layout, up to 40 components and 4,000 characters of text.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from channels.emulators.discord.forms import FormErrors, Path
from channels.emulators.discord.records import Json

ACTION_ROW, BUTTON, STRING_SELECT, TEXT_INPUT, SECTION, TEXT_DISPLAY = 1, 2, 3, 4, 9, 10
THUMBNAIL, MEDIA_GALLERY, FILE, SEPARATOR, CONTAINER, LABEL = 11, 12, 13, 14, 17, 18
SELECTS: Final = frozenset({3, 5, 6, 7, 8})
LINK_STYLE, PREMIUM_STYLE = 5, 6

ROWS_MAX: Final = 5
BUTTONS_MAX: Final = 5
V2_COMPONENTS_MAX: Final = 40
V2_TEXT_MAX: Final = 4000
CUSTOM_ID_MAX: Final = 100
LABEL_MAX: Final = 80
URL_MAX: Final = 512
OPTIONS_MAX: Final = 25
OPTION_TEXT_MAX: Final = 100
SECTION_TEXTS_MAX: Final = 3
GALLERY_MAX: Final = 10
MODAL_PARTS_MAX: Final = 5
INPUT_MAX: Final = 4000

_TOP_V1: Final = frozenset({ACTION_ROW})
_TOP_V2: Final = frozenset({ACTION_ROW, SECTION, TEXT_DISPLAY, MEDIA_GALLERY, FILE, SEPARATOR, CONTAINER})
_IN_ROW: Final = frozenset({BUTTON}) | SELECTS
_IN_LABEL: Final = SELECTS | {TEXT_INPUT, 19, 21, 22, 23}
_TOP_MODAL: Final = frozenset({ACTION_ROW, LABEL, TEXT_DISPLAY})


@dataclass(slots=True)
class _Check:
    """One pass over the components of a message: what was found so far."""

    errors: FormErrors
    custom_ids: set[str] = field(default_factory=set)
    count: int = 0
    text_length: int = 0

    def typed(self, path: Path, component: Json, allowed: frozenset[int]) -> int | None:
        """Count a component; its type when it may stand here."""
        self.count += 1
        kind = component.get("type")
        if isinstance(kind, int) and not isinstance(kind, bool) and kind in allowed:
            return kind
        text = f"Value of field 'type' must be one of {tuple(sorted(allowed))}."
        self.errors.add((*path, "type"), "UNION_TYPE_CHOICES", text)
        return None

    def amount(self, path: Path, found: object, least: int, most: int) -> list[Json]:
        """A list of components within its limits."""
        items = self.errors.dicts(path, [] if found is None else found)
        if not least <= len(items) <= most:
            self.errors.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
        return items

    def custom_id(self, path: Path, component: Json) -> None:
        """An id of the developer: there, not too long, and only once in a message."""
        custom_id = component.get("custom_id")
        if custom_id is None:
            self.errors.add((*path, "custom_id"), "BASE_TYPE_REQUIRED", "This field is required")
            return
        custom_id = self.errors.text((*path, "custom_id"), custom_id, 1, CUSTOM_ID_MAX)
        if custom_id in self.custom_ids:
            self.errors.add(
                (*path, "custom_id"),
                "COMPONENT_CUSTOM_ID_DUPLICATED",
                "Component custom id cannot be duplicated",
            )
        self.custom_ids.add(custom_id)


def check_components(raw: object, is_v2: bool, errors: FormErrors) -> list[Json]:
    """The components of a message, with the ids the network adds; notes what is wrong with them."""
    check = _Check(errors)
    allowed = _TOP_V2 if is_v2 else _TOP_V1
    components = errors.dicts(("components",), raw, None if is_v2 else ROWS_MAX)
    for index, component in enumerate(components):
        _check_layout(check, ("components", index), component, allowed)
    if is_v2 and check.count > V2_COMPONENTS_MAX:
        errors.add(
            ("components",),
            "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
            f"The total number of components cannot exceed {V2_COMPONENTS_MAX}",
        )
    if check.text_length > V2_TEXT_MAX:
        errors.add(
            ("components",),
            "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
            f"Total displayable text size exceeds the maximum size of {V2_TEXT_MAX}",
        )
    return _numbered(components) if errors.is_clean else []


def check_modal(data: Json, errors: FormErrors) -> Json:
    """The modal of an interaction response; notes what is wrong with it."""
    check = _Check(errors)
    check.errors.text(("data", "custom_id"), data.get("custom_id"), 1, CUSTOM_ID_MAX)
    check.errors.text(("data", "title"), data.get("title"), 1, 45)
    path: Path = ("data", "components")
    parts = check.amount(path, data.get("components"), 1, MODAL_PARTS_MAX)
    for index, part in enumerate(parts):
        kind = check.typed((*path, index), part, _TOP_MODAL)
        if kind == ACTION_ROW:
            inputs = check.amount((*path, index, "components"), part.get("components"), 1, 1)
            for one in inputs:
                _check_input(check, (*path, index, "components", 0), one, frozenset({TEXT_INPUT}))
        elif kind == LABEL:
            check.errors.text((*path, index, "label"), part.get("label"), 1, 45)
            inner: Path = (*path, index, "component")
            _check_input(check, inner, errors.dict(inner, part.get("component")), _IN_LABEL)
    return {**data, "components": _numbered(parts) if errors.is_clean else []}


def walk(components: list[Json]) -> Iterator[Json]:
    """Every component, outer ones first."""
    for component in components:
        yield component
        yield from walk(_dicts(component.get("components")))
        yield from walk(_dicts([component.get(key) for key in ("accessory", "component")]))


def displayed_texts(components: list[Json]) -> list[str]:
    """What a message says in its components; mentions there count as in the content."""
    return [one["content"] for one in walk(components) if one["type"] == TEXT_DISPLAY]


def find_custom(components: list[Json], custom_id: str) -> Json | None:
    """The component with this id of the developer."""
    return next((one for one in walk(components) if one.get("custom_id") == custom_id), None)


def _check_layout(check: _Check, path: Path, component: Json, allowed: frozenset[int]) -> None:
    kind = check.typed(path, component, allowed)
    if kind == ACTION_ROW:
        _check_row(check, path, component)
    elif kind == TEXT_DISPLAY:
        _check_text(check, path, component)
    elif kind == SECTION:
        texts = check.amount((*path, "components"), component.get("components"), 1, SECTION_TEXTS_MAX)
        for index, text in enumerate(texts):
            if check.typed((*path, "components", index), text, frozenset({TEXT_DISPLAY})):
                _check_text(check, (*path, "components", index), text)
        accessory = check.errors.dict((*path, "accessory"), component.get("accessory"))
        if check.typed((*path, "accessory"), accessory, frozenset({BUTTON, THUMBNAIL})) == BUTTON:
            _check_button(check, (*path, "accessory"), accessory)
    elif kind == MEDIA_GALLERY:
        check.amount((*path, "items"), component.get("items"), 1, GALLERY_MAX)
    elif kind == FILE:
        file = component.get("file")
        url = file.get("url", "") if isinstance(file, dict) else ""
        if not str(url).startswith("attachment://"):
            check.errors.add(
                (*path, "file", "url"), "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('attachment',)."
            )
    elif kind == CONTAINER:
        inner = check.amount((*path, "components"), component.get("components"), 1, V2_COMPONENTS_MAX)
        for index, one in enumerate(inner):
            _check_layout(check, (*path, "components", index), one, _TOP_V2 - {CONTAINER})


def _check_row(check: _Check, path: Path, row: Json) -> None:
    children = check.amount((*path, "components"), row.get("components"), 1, BUTTONS_MAX)
    kinds = [check.typed((*path, "components", n), one, _IN_ROW) for n, one in enumerate(children)]
    if len(children) > 1 and any(kind in SELECTS for kind in kinds):
        check.errors.add(
            (*path, "components"),
            "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
            "The specified component exceeds the maximum width",
        )
    for index, (kind, child) in enumerate(zip(kinds, children, strict=True)):
        if kind == BUTTON:
            _check_button(check, (*path, "components", index), child)
        elif kind is not None:
            _check_select(check, (*path, "components", index), child)


def _check_button(check: _Check, path: Path, button: Json) -> None:
    style = check.errors.choice((*path, "style"), button.get("style"), range(1, 7))
    if style == LINK_STYLE:
        check.errors.text((*path, "url"), button.get("url"), 1, URL_MAX)
        if "custom_id" in button:
            check.errors.add(
                (*path, "custom_id"),
                "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
                "A custom id and url cannot both be specified",
            )
    elif style not in (None, PREMIUM_STYLE):
        check.custom_id(path, button)
        if not button.get("label") and not button.get("emoji"):
            check.errors.add(path, "BUTTON_COMPONENT_EMPTY_LABEL_AND_EMOJI", "A label or emoji is required")
    if button.get("label") is not None:
        check.errors.text((*path, "label"), button["label"], 0, LABEL_MAX)


def _check_select(check: _Check, path: Path, select: Json) -> None:
    check.custom_id(path, select)
    if select.get("placeholder") is not None:
        check.errors.text((*path, "placeholder"), select["placeholder"], 0, 150)
    if select["type"] != STRING_SELECT:
        return
    options = check.amount((*path, "options"), select.get("options"), 1, OPTIONS_MAX)
    for index, option in enumerate(options):
        for name in ("label", "value"):
            check.errors.text((*path, "options", index, name), option.get(name), 1, OPTION_TEXT_MAX)
    values = [str(option.get("value")) for option in options]
    if len(set(values)) < len(values):
        check.errors.add(
            (*path, "options"),
            "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
            "The specified option value is already used",
        )


def _check_text(check: _Check, path: Path, component: Json) -> None:
    check.errors.text((*path, "content"), component.get("content"), 1, V2_TEXT_MAX)
    check.text_length += len(str(component.get("content", "")))


def _check_input(check: _Check, path: Path, component: Json, allowed: frozenset[int]) -> None:
    kind = check.typed(path, component, allowed)
    if kind is None:
        return
    if kind in SELECTS:
        _check_select(check, path, component)
        return
    check.custom_id(path, component)
    if kind == TEXT_INPUT:
        check.errors.choice((*path, "style"), component.get("style"), (1, 2))
        most = component.get("max_length", INPUT_MAX)
        if not isinstance(most, int) or not 1 <= most <= INPUT_MAX:
            check.errors.add(
                (*path, "max_length"), "NUMBER_TYPE_MAX", f"int value should be between 1 and {INPUT_MAX}."
            )


def _numbered(components: list[Json]) -> list[Json]:
    # The network gives a number to every component that has none (reference.mdx#anatomy-of-a-component).
    taken = {one.get("id") for one in walk(_dicts(components))}
    free = (number for number in range(1, 10_000) if number not in taken)

    def number(component: Json) -> Json:
        numbered = {**component, "id": component.get("id") or next(free)}
        if "components" in component:
            numbered["components"] = [number(one) for one in _dicts(component["components"])]
        for key in ("accessory", "component"):
            if isinstance(component.get(key), dict):
                numbered[key] = number(component[key])
        return numbered

    return [number(one) for one in _dicts(components)]


def _dicts(items: object) -> list[Json]:
    return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
