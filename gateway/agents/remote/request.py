"""What a worker is asked when it is to execute a run: `run.execute`, out of the run's context."""

import json
from typing import Final

from gateway.agent_settings import RemoteSettings
from gateway.agents.port import RunContext
from protocol import limits
from protocol.workers import (
    PastAnswer,
    PastDecision,
    PastFile,
    PastMessage,
    RunExecuteParams,
)
from storage.values import Said

HISTORY_CHARS: Final = 256 * limits.KIB
"""What the messages before may have altogether; older ones are left out. More is the agent's own memory."""


async def execute_params(
    settings: RemoteSettings, context: RunContext, fence: int, beat_s: float
) -> RunExecuteParams:
    """Everything the worker needs to know."""
    said = await context.said(settings.history_messages + 1)
    return RunExecuteParams(
        run_id=context.run_id,
        thread_id=context.thread_id,
        agent_id=settings.id,
        attempt=context.attempt,
        fence=fence,
        thread_title=context.thread_title,
        origin=context.origin,
        requested_by=context.requested_by,
        text=context.text,
        files=[
            PastFile(name=file.name, media_type=file.media_type, size_bytes=file.size_bytes, error=file.error)
            for file in context.files
        ],
        history=_history(said[:-1]),
        decisions=[
            PastDecision(
                key=one.key,
                subject_hash=one.subject_hash,
                approved=one.approved,
                reason=one.reason,
                by=one.by,
                edited=json.loads(one.edited) if one.edited is not None else None,
                wants_changes=one.wants_changes,
            )
            for one in context.decisions
        ],
        answers=[PastAnswer(key=one.key, text=one.text, by=one.by) for one in context.answers],
        beat_s=beat_s,
        timeout_s=settings.turn_timeout_s,
    )


def _history(said: list[Said]) -> list[PastMessage]:
    """The newest messages that fit, oldest first."""
    chars, kept = 0, []
    for message in reversed(said):
        chars += len(message.text)
        if chars > HISTORY_CHARS:
            break
        kept.append(PastMessage.model_validate({"role": message.role, "text": message.text}))
    return kept[::-1]
