"""What people see of an approval in a room: a card that shows the whole action, or offers no way to approve it. Pure.

When cards are shown and brought up to date is in `approval_cards.py`.
"""

import base64
from typing import Final

from channels.messages import Action, Card, Rendered, RoomRef
from channels.port import Adapter
from gateway.rules.deciding import CODE_CHARS
from gateway.rules.visible import fenced, pretty, visible
from protocol.approvals import Approval, ApprovalState
from protocol.limits import TITLE_CHARS

APPROVE, DENY, CHANGES = "a", "d", "c"
SHORT_CODE_CHARS: Final = 8
"""Of the code that a card tells people to type."""
TITLE_SHOWN: Final = 140
"""A longer title is repeated in the body: one network shows 150 characters of it."""
EXCERPT_CHARS: Final = 400
"""Of an action that is too long to be shown in a room."""
_SEEN_BYTES: Final = 6
"""Of the hash in a button, 48 bits: with an id and a letter they make the 40 bytes that every network carries."""


def shown(adapter: Adapter, room: RoomRef, approval: Approval) -> Rendered:
    """The card as its room can show it."""
    body = _body(approval)
    outcome = _outcome(approval)
    is_whole = len(adapter.render("\n\n".join((approval.title, body, outcome or "")), room)) == 1
    if not is_whole:
        body = f"{fenced(body[:EXCERPT_CHARS])}\n\n**This is not all of it.** {_all_of_it(approval)}"
    if outcome is None:
        body += f"\n\n{_footer(approval, is_whole)}"
    title = approval.title if len(approval.title) <= TITLE_SHOWN else approval.title[: TITLE_SHOWN - 1] + "…"
    return adapter.card(Card(title, body, _actions(approval, is_whole), outcome), room)


def read_button(value: str) -> tuple[str, str, str]:
    """What a button carried: the approval's id, the letter of what it decides, the beginning of the hash it was about.

    Cards of earlier versions said no hash. What is none of ours has an empty letter.
    """
    approval_id, _, rest = value.partition(":")
    letter, seen = rest[:1], rest[1:]
    if letter not in (APPROVE, DENY, CHANGES):
        return approval_id, "", ""
    try:
        return approval_id, letter, base64.b64decode(seen, altchars=b"-_", validate=True).hex()
    except ValueError:
        return approval_id, "", ""


def code_of(approval: Approval) -> str:
    """What people type to mean this approval, as it is now."""
    return hash_of(approval)[:SHORT_CODE_CHARS]


def hash_of(approval: Approval) -> str:
    """What is decided about: the action as it was asked, or as it was edited."""
    return approval.edited.subject_hash if approval.edited is not None else approval.subject_hash


def reminder(approval: Approval) -> str:
    """What a room is told when nobody has decided for a while."""
    return (
        f"*Still waiting for a decision*, until {_minute(approval.expires_at)}: {approval.title[:TITLE_CHARS]} "
        f"(`{code_of(approval)}`)"
    )


def _actions(approval: Approval, is_whole: bool) -> tuple[Action, ...]:
    if approval.state is not ApprovalState.PENDING:
        return ()
    seen = base64.urlsafe_b64encode(bytes.fromhex(hash_of(approval))[:_SEEN_BYTES]).decode()
    deny = Action(f"{approval.id}:{DENY}{seen}", "Deny", "danger", asks_reason=True)
    approve = Action(f"{approval.id}:{APPROVE}{seen}", "Approve", "primary")
    changes = Action(f"{approval.id}:{CHANGES}{seen}", "Changes", asks_reason=True)
    return (
        *([approve] if is_whole else []),
        deny,
        *([changes] if approval.run_id is not None else []),
    )


def _body(approval: Approval) -> str:
    """All of the action, as CommonMark."""
    if approval.edited is None:
        body = approval.body
    else:
        subject = approval.edited.subject
        arguments = subject["arguments"] if isinstance(subject, dict) and "arguments" in subject else subject
        body = (
            f"**{visible(approval.edited.by.name)} edited it.** Approved, it is done with exactly these arguments:\n\n"
            f"{fenced(pretty(arguments), 'json')}\n\n{fenced(approval.edited.diff, 'diff')}"
        )
    whole_title = f"**{approval.title}**\n\n" if len(approval.title) > TITLE_SHOWN else ""
    return whole_title + body


def _footer(approval: Approval, is_whole: bool) -> str:
    lines = []
    progress = _progress(approval)
    if progress:
        lines.append(progress)
    if approval.escalated_at is not None and approval.rules is not None:
        lines.append(f"Escalated: {', '.join(approval.rules.escalate_to)} may decide, too.")
    code = code_of(approval)
    words = [*([f"`approve {code}`"] if is_whole else []), f"`deny {code} WHY`"]
    if approval.run_id is not None:
        words.append(f"`changes {code} WHAT`")
    lines.append(f"Action `{hash_of(approval)[:CODE_CHARS]}` · or write {', '.join(words)}")
    return "\n\n".join(lines)


def _progress(approval: Approval) -> str:
    """Votes so far, while there must be more."""
    quorum = approval.rules.quorum if approval.rules is not None else 1
    now = hash_of(approval)
    yes = [
        visible(one.actor.name) for one in approval.votes if (one.vote, one.subject_hash) == ("approve", now)
    ]
    no = [visible(one.actor.name) for one in approval.votes if one.vote == "deny"]
    if quorum == 1 and not no:
        return ""
    return (
        f"{len(yes)} of {quorum} approved"
        + (f": {', '.join(yes)}" if yes else "")
        + (f"; denied: {', '.join(no)}" if no else "")
        + "."
    )


def _minute(instant: str) -> str:
    """An instant for people, to the minute; they need not share a time zone."""
    return f"{instant[:10]} {instant[11:16]} UTC"


def _outcome(approval: Approval) -> str | None:
    """How it ended: what, by whom, why, when; None while it has not."""
    if approval.state is ApprovalState.PENDING:
        return None
    at = f" ({_minute(approval.decided_at)})" if approval.decided_at is not None else ""
    if approval.state is ApprovalState.EXPIRED:
        return f"Expired: nobody decided in time{at}."
    if approval.state is ApprovalState.CANCELLED:
        return f"Cancelled: the run ended{at}."
    verb = {ApprovalState.APPROVED: "Approved", ApprovalState.DENIED: "Denied"}.get(
        approval.state, "Changes requested"
    )
    vote = "approve" if approval.state is ApprovalState.APPROVED else None
    names = [
        one.actor.name for one in approval.votes if one.vote == vote and one.subject_hash == hash_of(approval)
    ]
    if not names and approval.decided_by is not None:
        names = [approval.decided_by.name]
    edited = ", edited" if approval.edited is not None and verb == "Approved" else ""
    said = f": {visible(approval.reason)}" if approval.reason else ""
    return f"{verb} by {visible(', '.join(names))}{edited}{at}{said}"


def _all_of_it(approval: Approval) -> str:
    return f"See it with `threadgate approvals show {approval.id}`; there it can be approved."
