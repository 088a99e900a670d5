"""What services may ask of the store about retention, legal holds and erasure. The values are in `privacy_values.py`.

The rules of `ports.py` hold here, too: each method is one transaction.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from protocol.frames import RawJson
from protocol.privacy import LegalHold, RetentionRunResult
from storage.privacy_values import Batch, Going, HoldKind, Key, RetentionClass, Subject, Traces
from storage.values import Act, Ending


class RetentionStore(Protocol):
    """What is older than it may become."""

    async def organizations(self) -> list[str]:
        """All organizations."""
        ...

    async def look(self, org_id: str, what: RetentionClass, before_ms: int, after: int, limit: int) -> Batch:
        """The next things that are older, from a place on (0: the first), at most `limit`."""
        ...

    async def delete(self, act: Act, what: RetentionClass, before_ms: int, keys: Sequence[Key]) -> int:
        """Delete those of them that are still older, not held and not in use, in the act's organization.

        Returns how many; one audit entry when there were any.
        """
        ...

    async def answered(self, act: Act) -> RawJson | None:
        """What the same request was answered before."""
        ...

    async def finish(self, act: Act, result: RetentionRunResult) -> RawJson:
        """Record that a run is over; its RetentionRunResult."""
        ...


class HoldStore(Protocol):
    """Legal holds."""

    async def open(self, org_id: str) -> list[LegalHold]:
        """Those that hold."""
        ...

    async def place(self, act: Act, hold_id: str, kind: HoldKind, subject: str, reason: str) -> RawJson:
        """Keep a thread or a person; one that is kept already stays as it is. Returns a DataEraseResult.

        Raises Fault not_found for a thread that there is not.
        """
        ...

    async def release(self, act: Act, kind: HoldKind, subject: str, reason: str) -> RawJson:
        """Let go of it. Returns a DataEraseResult. Raises Fault not_found when nothing holds exactly this."""
        ...


class ErasureStore(Protocol):
    """The erasure of a person, in steps that each are one transaction and may be done again."""

    async def subject(self, org_id: str, person: str, erasure_id: str) -> Subject:
        """All ids of a person. Raises Fault not_found for a user that there is not."""
        ...

    async def last_place(self) -> int:
        """The newest place of the log: what comes later is not looked at."""
        ...

    async def threads(self, org_id: str, subject: Subject, after: int, upto: int) -> list[str]:
        """Threads with a trace of the person between two places of the log."""
        ...

    async def traces(self, org_id: str, subject: Subject, threads: list[str]) -> Traces:
        """These threads, sorted. Raises Fault invalid_state when a legal hold covers the person or one of them."""
        ...

    async def count(self, org_id: str, subject: Subject, traces: Traces) -> dict[str, int]:
        """What would be erased, by class."""
        ...

    async def begin(self, act: Act, subject: Subject, reason: str) -> dict[str, Any] | None:
        """Record that it begins; the certificate instead, when the same request was answered before.

        Raises Fault invalid_state when a legal hold covers the person.
        """
        ...

    async def refused(self, act: Act, subject: Subject, hold_id: str) -> None:
        """Record that a legal hold forbade it."""
        ...

    async def going(self) -> list[Going]:
        """Erasures that are not over."""
        ...

    async def erase_thread(self, act: Act, subject: Subject, thread_id: str) -> bool:
        """Delete a thread in which nobody else wrote; False when somebody did meanwhile, and nothing was changed.

        Raises Fault invalid_state (a legal hold).
        """
        ...

    async def erase_in_thread(
        self, act: Act, subject: Subject, thread_id: str, cancel: Ending, limit: int
    ) -> bool:
        """Take back what the person wrote and make who they are opaque; whether there is more to do.

        `cancel` is how runs end that have not begun to answer. Raises Fault invalid_state (a legal hold).
        """
        ...

    async def erase_person(self, act: Act, subject: Subject) -> None:
        """Delete who they are: standing, pairings, links, the user, their tokens, the audit log's mapping and keys."""
        ...

    async def erase_deliveries(self, act: Act, subject: Subject, after: int, limit: int) -> int | None:
        """Forget whose deliveries from and to chat networks were, and answers that name them.

        Looks at `limit` rows; returns where to go on, None when that was all.
        """
        ...

    async def certify(self, act: Act, subject: Subject) -> tuple[int, dict[str, int], int]:
        """Write the audit entry that says what was erased: its seq, the counts, and when it began."""
        ...

    async def finish(self, act: Act, subject: Subject, certificate: dict[str, Any]) -> RawJson:
        """Store the certificate and forget whose erasure it was. Returns a DataEraseResult."""
        ...

    async def scrub(self, *, is_first: bool) -> bool:
        """One step of writing the search index anew without what was erased; whether there is more to do."""
        ...
