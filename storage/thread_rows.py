"""What everybody needs of a thread's row: that it is there, and how it is shown."""

from protocol.errors import ErrorKind, Fault
from protocol.instants import to_instant
from protocol.records import Actor, Origin, Thread, ThreadStatus
from storage.engine import Reader, Row
from storage.queries import Queries
from storage.texts import from_text

_SQL = Queries("threads")


def find(tx: Reader, org_id: str, thread_id: str) -> Row:
    """The row of a thread that exists and is not deleted. Raises Fault not_found."""
    row = tx.one(_SQL.find, org_id=org_id, id=thread_id)
    if row is None or row["status"] == ThreadStatus.DELETED:
        raise Fault(ErrorKind.NOT_FOUND, "There is no such thread", hint="thread.list shows what there is")
    return row


def assignee(row: Row) -> Actor | None:
    """The person who has taken a thread over."""
    return Actor.model_validate(from_text(row["assignee"])) if row["assignee"] else None


def record(row: Row) -> Thread:
    """A thread as it is shown."""
    return Thread(
        id=row["id"],
        title=row["title"],
        status=ThreadStatus(row["status"]),
        agent_id=row["agent_id"],
        assignee=assignee(row),
        head_seq=row["head_seq"],
        created_at=to_instant(row["created_at"]),
        updated_at=to_instant(row["head_at"] or row["created_at"]),
        origin=Origin.model_validate(from_text(row["origin"])),
    )
