"""Bodies of any shape, read with care: each reader gives a value of its kind and notes what is wrong.

`FormErrors` is error 50035 in the making: problems by field (reference.mdx#error-messages of discord-api-docs).
"""

from collections.abc import Collection, Sequence

from channels.emulators.discord.refusals import Json, Refusal

Path = tuple[str | int, ...]


class FormErrors:
    """What is wrong with a body, field by field."""

    def __init__(self) -> None:
        self._tree: Json = {}

    @property
    def is_clean(self) -> bool:
        """Whether nothing was noted yet."""
        return not self._tree

    def add(self, path: Sequence[str | int], code: str, message: str) -> None:
        """Note one problem at a field, such as `("embeds", 0, "title")`; an empty path means the whole body."""
        node = self._tree
        for part in path:
            node = node.setdefault(str(part), {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def check(self) -> None:
        """Raise Refusal 50035 when something was noted."""
        if self._tree:
            raise Refusal(400, 50035, "Invalid Form Body", self._tree)

    def text(self, path: Path, raw: object, least: int, most: int) -> str:
        """A text within its limits, in code points."""
        if isinstance(raw, str) and least <= len(raw) <= most:
            return raw
        self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
        return ""

    def flag(self, path: Path, raw: object) -> bool:
        """True or false."""
        if not isinstance(raw, bool):
            self.add(path, "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
        return raw is True

    def choice(self, path: Path, raw: object, choices: Collection[int]) -> int | None:
        """One of some numbers."""
        if isinstance(raw, int) and not isinstance(raw, bool) and raw in choices:
            return int(raw)
        self.add(path, "BASE_TYPE_CHOICES", f"Value must be one of {tuple(sorted(choices))}.")
        return None

    def snowflake(self, path: Path, raw: object) -> int:
        """An id, as a text of digits or a number."""
        if isinstance(raw, str | int) and not isinstance(raw, bool) and is_digits(str(raw)):
            return int(raw)
        self.add(path, "NUMBER_TYPE_COERCE", f'Value "{raw}" is not snowflake.')
        return 0

    def items(self, path: Path, raw: object, most: int | None = None) -> list[object]:
        """A list, of not too many things."""
        if not isinstance(raw, list):
            self.add(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return []
        if most is not None and len(raw) > most:
            self.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
        return raw

    def dicts(self, path: Path, raw: object, most: int | None = None) -> list[Json]:
        """A list of objects; what is none is noted and becomes an empty one, so that places stay right."""
        return [self.dict((*path, index), one) for index, one in enumerate(self.items(path, raw, most))]

    def dict(self, path: Path, raw: object) -> Json:
        """An object."""
        if isinstance(raw, dict):
            return raw
        self.add(path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return {}


def invalid_form(path: Sequence[str | int], code: str, message: str) -> Refusal:
    """A 50035 with a single problem."""
    tree: Json = {"_errors": [{"code": code, "message": message}]}
    for part in reversed(path):
        tree = {str(part): tree}
    return Refusal(400, 50035, "Invalid Form Body", tree)


def is_digits(text: str) -> bool:
    """Whether a text is a plain number of at most 20 digits, as ids are."""
    return text.isascii() and text.isdecimal() and len(text) <= 20
