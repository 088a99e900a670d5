"""What a change of access does to what is open: it ends, or knows its new end, in the commit that changed it."""

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.edge.websocket import EdgeContext, EventStream, Session
from protocol.errors import CloseCode
from storage.device_values import DeviceChanged
from storage.identity_values import PrincipalChanged, TokenShortened
from storage.values import Bearer, TokenRevoked

_CHANGES: Final = (TokenRevoked, TokenShortened, PrincipalChanged, DeviceChanged)
_DEVICE_CLOSES: Final = {
    "revoked": (CloseCode.UNAUTHORIZED, "the device was revoked"),
    "replaced": (CloseCode.UNAUTHORIZED, "the device has another key now"),
    "access": (CloseCode.ACCESS_CHANGED, "what the device may has changed"),
}


def on_commit(context: EdgeContext, signals: Sequence[object]) -> None:
    """The store's commit hook."""
    changes = [signal for signal in signals if isinstance(signal, _CHANGES)]
    if not changes:  # as nearly always: messages come in between
        return
    context.authenticator.on_commit(changes)
    for change in changes:
        match change:
            case TokenRevoked(token_id):
                _end(context, token_id, CloseCode.UNAUTHORIZED, "the token was revoked")
            case PrincipalChanged(principal_id, is_disabled=True):
                _end(context, principal_id, CloseCode.UNAUTHORIZED, "the principal was disabled")
            case PrincipalChanged(principal_id):
                _end(context, principal_id, CloseCode.ACCESS_CHANGED, "the role was changed")
            case DeviceChanged(device_id, how):
                code, reason = _DEVICE_CLOSES[how]
                for session in tuple(context.sessions):
                    if session.device_id == device_id:
                        session.close(code, reason)
            case TokenShortened(token_id, expires_at_ms):
                for opened in _open_by(context, token_id):
                    if isinstance(opened, Session):
                        opened.shorten(expires_at_ms)
                    else:
                        opened.expires_at_ms = expires_at_ms


def _end(context: EdgeContext, whose: str, code: CloseCode, reason: str) -> None:
    for opened in _open_by(context, whose):
        if isinstance(opened, Session):
            opened.close(code, reason)
        else:
            opened.transport.close()


def _open_by(context: EdgeContext, whose: str) -> Iterator[Session | EventStream]:
    """What a token, or a principal, has open; ids of different kinds are never equal."""
    everything: tuple[Session | EventStream, ...] = (*context.sessions, *context.streams)
    for opened in everything:
        if opened.bearer is not None and _is_of(opened.bearer, whose):
            yield opened


def _is_of(bearer: Bearer, whose: str) -> bool:
    return whose in (bearer.token_id, bearer.actor.id)
