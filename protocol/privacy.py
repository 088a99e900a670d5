"""The params and results of retention, legal holds and the erasure of people, and what they show."""

from typing import Annotated, Any, Literal

from pydantic import Field

from protocol import limits
from protocol.records import Actor, Id, Instant, Record
from protocol.requests import Mutation

PersonId = Annotated[
    str,
    Field(
        min_length=3,
        max_length=limits.NAME_CHARS,
        description="`NETWORK:ID` of somebody in a chat network (`slack:U123`), or the id of a user.",
    ),
]


class LegalHold(Record):
    """Something that must be kept. A hold on a person keeps the threads they wrote in, too."""

    id: Id
    kind: Literal["thread", "person"]
    subject: str
    reason: str
    placed_by: Actor
    placed_at: Instant
    released_at: Instant | None = None


class RetentionRunParams(Mutation):
    """With `dry_run` nothing is deleted."""

    dry_run: bool = True


class RetentionFinding(Record):
    """One class of data: what is older than `cutoff`. `held` is kept by a legal hold, `deleted` is 0 in a dry run.

    Counted are threads, files, runs (of journals), lines of usage, pieces of content.
    """

    name: Literal["messages", "files", "journal", "usage", "audit_content"]
    days: int
    cutoff: Instant
    would_delete: int
    deleted: int
    held: int


class RetentionRunResult(Record):
    """`classes` holds those that the settings bound; what has no bound is kept for ever."""

    dry_run: bool
    classes: list[RetentionFinding]


class DataEraseParams(Mutation):
    """What to do with a person's data, or with a thread that must be kept.

    preview, erase: `person` · hold, release: `person` or `thread_id` · list: the legal holds there are.
    """

    action: Literal["preview", "erase", "hold", "release", "list"]
    person: PersonId | None = None
    thread_id: Id | None = None
    reason: Annotated[str, Field(max_length=limits.REASON_CHARS)] = ""


class DataEraseResult(Record):
    """`counts` says what would be (preview) or was erased (erase), by class; the certificate says it signed."""

    counts: dict[str, int] | None = None
    certificate: dict[str, Any] | None = None
    holds: list[LegalHold] = []  # noqa: RUF012 - the model copies it
