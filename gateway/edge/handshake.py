"""What a good `hello` is answered with. Pure; who may say it is decided in `authentication.py` and `workers.py`."""

from collections.abc import Sequence

from gateway.edge.authentication import Caller
from gateway.hub.hub import Opening
from protocol import limits
from protocol.devices import PairingAsked
from protocol.instants import to_instant
from protocol.records import Principal
from protocol.requests import ConnectionLimits, HelloParams, HelloResult, Resumed, ResumePoint


def hello_result(
    connection_id: str,
    caller: Caller,
    params: HelloParams,
    openings: Sequence[Opening | str],
    epoch: str,
    accepted: ConnectionLimits,
    pairing: PairingAsked | None = None,
) -> HelloResult:
    """The connection as its client may see it. An opening is a subscription, or why there is none."""
    actor = caller.bearer.actor
    expires = caller.bearer.expires_at_ms
    return HelloResult(
        connection_id=connection_id,
        principal=Principal(id=actor.id, kind=actor.kind, name=actor.name),
        scopes=sorted(scope.value for scope in caller.scopes),
        minor=params.minor,
        capabilities=[],
        epoch=epoch,
        heartbeat_s=limits.HEARTBEAT_S,
        limits=accepted,
        auth_expires_at=to_instant(expires) if expires is not None else None,
        resumed=[_resumed(point, opening) for point, opening in zip(params.resume, openings, strict=True)],
        pairing=pairing,
    )


def _resumed(point: ResumePoint, opening: Opening | str) -> Resumed:
    reason = opening if isinstance(opening, str) else opening.reset_reason
    if reason is None:
        return Resumed(thread_id=point.thread_id, state="replaying")
    return Resumed(thread_id=point.thread_id, state="reset", reason=reason)
