"""Rich embeds: their limits (resources/message.mdx#embed-limits). Pure."""

from typing import Final

from channels.emulators.discord.records import Json
from channels.emulators.discord.refusals import FormErrors

EMBEDS_MAX: Final = 10
FIELDS_MAX: Final = 25
TOTAL_MAX: Final = 6000
_LIMITS: Final = {
    ("title",): 256,
    ("description",): 4096,
    ("footer", "text"): 2048,
    ("author", "name"): 256,
}
_FIELD_LIMITS: Final = {"name": 256, "value": 1024}


def check_embeds(raw: object, errors: FormErrors) -> list[Json]:
    """The embeds of a message; notes what is wrong with them."""
    if not isinstance(raw, list):
        errors.add(("embeds",), "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return []
    if len(raw) > EMBEDS_MAX:
        errors.add(("embeds",), "BASE_TYPE_MAX_LENGTH", f"Must be {EMBEDS_MAX} or fewer in length.")
    embeds, total = [], 0
    for index, embed in enumerate(raw):
        if not isinstance(embed, dict):
            errors.add(("embeds", index), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
            continue
        total += _check_embed(embed, index, errors)
        # Whatever the sender says, it is a rich one.
        embeds.append({**embed, "type": "rich"})
    if total > TOTAL_MAX:
        errors.add(("embeds",), "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {TOTAL_MAX}")
    return embeds


def _check_embed(embed: Json, index: int, errors: FormErrors) -> int:
    """Note what is wrong; the number of characters that count towards the sum."""
    total = 0
    for keys, most in _LIMITS.items():
        value: object = embed
        for part in keys:
            value = value.get(part) if isinstance(value, dict) else None
        total += _measure(value, ("embeds", index, *keys), most, errors)
    fields = embed.get("fields") or []
    if len(fields) > FIELDS_MAX:
        errors.add(
            ("embeds", index, "fields"), "BASE_TYPE_MAX_LENGTH", f"Must be {FIELDS_MAX} or fewer in length."
        )
    for number, one in enumerate(fields):
        for name, most in _FIELD_LIMITS.items():
            path: tuple[str | int, ...] = ("embeds", index, "fields", number, name)
            if not one.get(name):
                errors.add(path, "BASE_TYPE_REQUIRED", "This field is required")
            total += _measure(one.get(name), path, most, errors)
    return total


def _measure(value: object, path: tuple[str | int, ...], most: int, errors: FormErrors) -> int:
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > most:
        errors.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
    return len(text)
