"""Event kinds and notifications against the closed lists of the contract."""

from protocol.events import EVENT_DATA, NOTIFICATIONS, RUN_ENDINGS, EventKind


def kinds(text: str) -> set[str]:
    """`run.a|b c.d` as {run.a, run.b, c.d}."""
    found = set()
    for group in text.split():
        subject, verbs = group.split(".")
        found |= {f"{subject}.{verb}" for verb in verbs.split("|")}
    return found


def test_event_kinds_are_those_of_the_contract() -> None:
    contract = kinds(
        "thread.created|updated|archived|restored message.created|updated|deleted "
        "run.queued|started|waiting|resumed|completed|failed|cancelled|interrupted tool.started|finished "
        "approval.requested|decided|expired|cancelled delivery.sent|failed|uncertain "
        "participant.joined|left budget.warned|exceeded"
    )

    assert {kind.value for kind in EventKind} == contract | {"redacted"}
    assert EVENT_DATA.keys() <= set(EventKind)
    assert set(EventKind) > RUN_ENDINGS


def test_notifications_are_those_of_the_contract() -> None:
    contract = {"challenge", "event", "delta", "snapshot", "subscription", "head", "heartbeat", "bye"}

    assert set(NOTIFICATIONS) == contract
