"""What an event of a thread says to people, in one line: of handovers, waits and tools. `tail` and `chat` show it."""

from threadgate_client import Event

from gateway.cli.printing import one_line


def handover_of(event: Event) -> str | None:
    """Who answers from now on; None for events that change nothing about it."""
    who = event.actor.name or event.actor.id
    assignee, agent_id = event.data.get("assignee"), event.data.get("agent_id")
    if isinstance(assignee, dict):
        name = one_line(str(assignee.get("name") or assignee.get("id")))
        return f"{who} has taken over" if name == who else f"{who} has handed this thread to {name}"
    if "returned_by" in event.data:
        return f"{who} has given this thread back to the agent{f' {agent_id}' if agent_id else ''}"
    return f"{agent_id} answers from now on" if agent_id and event.kind == "thread.updated" else None


def wait_of(event: Event) -> str:
    """What a run waits for."""
    reason, prompt = event.data.get("reason"), event.data.get("prompt")
    return f"asks: {one_line(str(prompt))}" if prompt else f"waits for {reason}"


def tool_of(event: Event) -> str:
    """A tool that is called, or what came of it."""
    name, outcome = event.data.get("name"), event.data.get("outcome")
    if outcome is None:
        return f"calls {name}"
    preview = one_line(str(event.data.get("preview") or ""))
    how = "" if outcome == "ok" else f" {outcome}"
    return f"{name}{how}: {preview}" if preview else f"{name}{how or ' done'}"
