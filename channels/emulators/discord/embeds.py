"""Rich embeds: their limits (resources/message.mdx#embed-limits). Pure."""

from typing import Final

from channels.emulators.discord.forms import FormErrors, Path
from channels.emulators.discord.records import Json

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
    embeds, total = [], 0
    for index, embed in enumerate(errors.dicts(("embeds",), raw, EMBEDS_MAX)):
        total += _check_embed(embed, index, errors)
        # Whatever the sender says, it is a rich one.
        embeds.append({**embed, "type": "rich"})
    if total > TOTAL_MAX:
        errors.add(("embeds",), "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {TOTAL_MAX}")
    return embeds


def _check_embed(embed: Json, index: int, errors: FormErrors) -> int:
    """Note what is wrong; the number of characters that count towards the sum."""
    total = 0
    for (*outer, name), most in _LIMITS.items():
        path: Path = ("embeds", index, *outer)
        holder = errors.dict(path, embed.get(outer[0]) or {}) if outer else embed
        total += _measure(holder.get(name), (*path, name), most, errors)
    path = ("embeds", index, "fields")
    for number, one in enumerate(errors.dicts(path, embed.get("fields") or [], FIELDS_MAX)):
        for name, most in _FIELD_LIMITS.items():
            if not one.get(name):
                errors.add((*path, number, name), "BASE_TYPE_REQUIRED", "This field is required")
            total += _measure(one.get(name), (*path, number, name), most, errors)
    return total


def _measure(value: object, path: Path, most: int, errors: FormErrors) -> int:
    if value is not None and not isinstance(value, str):
        errors.add(path, "STRING_TYPE_CONVERT", "Could not interpret as string.")
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > most:
        errors.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
    return len(text)
