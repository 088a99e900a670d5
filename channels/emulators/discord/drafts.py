"""Bodies of messages: from JSON and files to a checked draft, by the network's limits. Pure.

A draft holds None for what was left out: creating takes that as empty, editing as unchanged.
"""

from dataclasses import dataclass
from typing import Final

from channels.emulators.discord.components import check_components
from channels.emulators.discord.embeds import check_embeds
from channels.emulators.discord.forms import FormErrors
from channels.emulators.discord.mentions import Allowed, read_allowed
from channels.emulators.discord.records import NO_FLAGS, Json, MessageFlag, Nonce, Reference, Upload
from channels.emulators.discord.refusals import Refusal, too_large
from channels.emulators.discord.wire import ATTACHMENT_MAX_BYTES

# resources/message.mdx#create-message; code points, as the API counts.
CONTENT_MAX: Final = 2000
NONCE_MAX: Final = 25
FILES_MAX: Final = 10
_SETTABLE: Final = (
    MessageFlag.SUPPRESS_EMBEDS
    | MessageFlag.SUPPRESS_NOTIFICATIONS
    | MessageFlag.EPHEMERAL
    | MessageFlag.IS_COMPONENTS_V2
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked body. `kept` are the ids of attachments that an edit keeps; `allowed` is never None."""

    allowed: Allowed
    flags: MessageFlag | None = None
    content: str | None = None
    embeds: list[Json] | None = None
    components: list[Json] | None = None
    kept: list[int] | None = None
    uploads: tuple[Upload, ...] = ()
    nonce: Nonce | None = None
    enforces_nonce: bool = False
    reference: Reference | None = None
    may_lack_reference: bool = False
    tts: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.content or self.embeds or self.components or self.uploads or self.kept)


def read_draft(
    body: Json, uploads: list[Upload], default_allowed: Allowed, before: MessageFlag = NO_FLAGS
) -> Draft:
    """Check a body; `before` are the flags of the message it edits. Raises Refusal."""
    if any(len(upload.data) > ATTACHMENT_MAX_BYTES for upload in uploads):
        raise too_large()
    if len(uploads) > FILES_MAX:
        raise Refusal(400, 30015, f"Maximum number of attachments in a message reached ({FILES_MAX})")
    errors = FormErrors()
    flags = _flags(body.get("flags"), errors)
    is_v2 = MessageFlag.IS_COMPONENTS_V2 in (before if flags is None else flags | before)
    if flags is not None and MessageFlag.IS_COMPONENTS_V2 in before & ~flags:
        errors.add(
            ("flags",),
            "MESSAGE_CANNOT_REMOVE_COMPONENTS_V2_FLAG",
            "The IS_COMPONENTS_V2 message flag cannot be removed",
        )
    content = _content(body, errors)
    embeds = check_embeds(body["embeds"] or [], errors) if "embeds" in body else None
    components = check_components(body["components"] or [], is_v2, errors) if "components" in body else None
    if is_v2:
        _refuse_legacy(content, embeds, errors)
    described, kept = _attachments(body.get("attachments"), uploads, errors)
    draft = Draft(
        allowed=read_allowed(body.get("allowed_mentions"), default_allowed, errors),
        flags=flags,
        content=content,
        embeds=embeds,
        components=components,
        kept=kept,
        uploads=described,
        nonce=_nonce(body.get("nonce"), errors),
        enforces_nonce=bool(body.get("enforce_nonce")),
        reference=_reference(body.get("message_reference"), errors),
        may_lack_reference=_fails_softly(body.get("message_reference")),
        tts=bool(body.get("tts")),
    )
    errors.check()
    return draft


def _flags(raw: object, errors: FormErrors) -> MessageFlag | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int):
        errors.add(("flags",), "NUMBER_TYPE_COERCE", f'Value "{raw}" is not int.')
        return None
    return MessageFlag(raw & _SETTABLE)


def _content(body: Json, errors: FormErrors) -> str | None:
    if "content" not in body:
        return None
    raw = body["content"]
    if raw is not None and not isinstance(raw, str | int | float):
        errors.add(("content",), "STRING_TYPE_CONVERT", "Could not interpret as string.")
        return None
    # Space around a message is cut off.
    content = "" if raw is None else str(raw).strip()
    if len(content) > CONTENT_MAX:
        errors.add(("content",), "BASE_TYPE_MAX_LENGTH", f"Must be {CONTENT_MAX} or fewer in length.")
    return content


def _refuse_legacy(content: str | None, embeds: list[Json] | None, errors: FormErrors) -> None:
    for name, value in (("content", content), ("embeds", embeds)):
        if value:
            errors.add(
                (name,),
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
            )


def _attachments(
    raw: object, uploads: list[Upload], errors: FormErrors
) -> tuple[tuple[Upload, ...], list[int] | None]:
    """The uploads with their descriptions, and the attachments that stay; None when nothing was said."""
    if raw is None:
        return tuple(uploads), None
    by_index = {str(upload.index): upload for upload in uploads}
    described: dict[int, Upload] = {upload.index: upload for upload in uploads}
    kept = []
    for index, one in enumerate(errors.dicts(("attachments",), raw)):
        file_id = errors.snowflake(("attachments", index, "id"), one.get("id"))
        upload = by_index.get(str(file_id))
        if upload is None:
            kept.append(file_id)
        else:
            name, description = one.get("filename") or upload.filename, one.get("description")
            described[upload.index] = Upload(
                upload.index, str(name), upload.data, None if description is None else str(description)
            )
    return tuple(described.values()), kept


def _nonce(raw: object, errors: FormErrors) -> Nonce | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        errors.add(("nonce",), "NONCE_TYPE_INVALID", "Value must be an integer or string.")
        return None
    if len(str(raw)) > NONCE_MAX:
        errors.add(("nonce",), "BASE_TYPE_MAX_LENGTH", f"Must be {NONCE_MAX} or fewer in length.")
    return raw


def _reference(raw: object, errors: FormErrors) -> Reference | None:
    if raw is None:
        return None
    path = ("message_reference",)
    fields = errors.dict(path, raw)
    if fields.get("type"):
        errors.add((*path, "type"), "BASE_TYPE_CHOICES", "forwards: not emulated yet")
    message_id = errors.snowflake((*path, "message_id"), fields.get("message_id"))
    # 0 stands for the channel that is written to.
    return Reference(errors.snowflake((*path, "channel_id"), fields.get("channel_id") or 0), message_id)


def _fails_softly(raw: object) -> bool:
    return isinstance(raw, dict) and raw.get("fail_if_not_exists") is False
