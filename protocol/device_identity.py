"""Who a device is: its id follows from its Ed25519 key, and a signature over this connection proves the key. Pure.

The text that is signed names the nonce of the connection's own challenge and the host it was dialled under, so that a
signature is good once, here, and for nothing else (PROTOCOL.md §3). Whether a device that is who it says may come in
is decided by the gateway's records, not here. Ed25519 is RFC 8032; keys and signatures are raw bytes in base64url
without padding (RFC 4648 §5), of which each value has exactly one spelling here.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol.devices import DeviceProof
from protocol.errors import ErrorKind, Fault
from protocol.limits import DEVICE_SKEW_S, SUBPROTOCOL

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
GROUP_CHARS: Final = 4
"""Characters of a fingerprint that are compared at a glance."""
ROTATION: Final = f"{SUBPROTOCOL}.rotate"
"""First line of the text with which one key hands over to another."""

_PRIME: Final = 2**255 - 19
_SMALL_ORDER: Final = frozenset(
    {
        0,
        1,
        _PRIME - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)
"""The y of the points of small order: a signature under such a key proves nothing,
since anybody can make one."""


@dataclass(frozen=True, slots=True)
class Connected:
    """What a signature is bound to: this connection, as the gateway sees it. `now_ms` is the gateway's clock."""

    nonce: str
    role: str
    host: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Proven:
    """A device that has proved its key, and the key that takes its place, if it presented one."""

    device_id: str
    public_key: str
    successor_id: str | None = None
    successor_key: str | None = None


def device_id_of(public_key: bytes) -> str:
    """The id of the device with this raw key."""
    return encoded(hashlib.sha256(public_key).digest())


def fingerprint_of(device_id: str) -> str:
    """A device's id in groups, for comparing by eye."""
    groups = [device_id[begin : begin + GROUP_CHARS] for begin in range(0, len(device_id), GROUP_CHARS)]
    return f"SHA256:{' '.join(groups)}"


def signed_text(nonce: str, device_id: str, role: str, signed_at: int, host: str) -> bytes:
    """What a device signs in hello."""
    return _lines((SUBPROTOCOL, nonce, device_id, role, str(signed_at), host))


def rotation_text(nonce: str, device_id: str, successor_id: str, signed_at: int, host: str) -> bytes:
    """What both keys sign when the second takes the place of the first."""
    return _lines((ROTATION, nonce, device_id, successor_id, str(signed_at), host))


def verified(proof: DeviceProof, connected: Connected) -> Proven:
    """The device a proof is of. Raises Fault unauthorized, with `data.reason`: bad_key, clock_skew, bad_signature."""
    key = _decoded(proof.public_key, KEY_BYTES, "bad_key", "The public key is not one of Ed25519")
    _check_key(key)
    ahead_ms = proof.signed_at - connected.now_ms
    if abs(ahead_ms) > DEVICE_SKEW_S * 1000:
        raise _refused(
            "clock_skew",
            f"The signature was made more than {DEVICE_SKEW_S} s from now",
            "Set the device's clock; challenge.server_time says what it is here",
        )
    device_id = device_id_of(key)
    text = signed_text(connected.nonce, device_id, connected.role, proof.signed_at, connected.host)
    _check_signature(key, proof.signature, text)
    successor = proof.successor
    if successor is None:
        return Proven(device_id, proof.public_key)
    new_key = _decoded(successor.public_key, KEY_BYTES, "bad_key", "The new public key is not one of Ed25519")
    _check_key(new_key)
    new_id = device_id_of(new_key)
    if new_id == device_id:
        raise _refused("bad_key", "The new key is the present one", "Make another key")
    text = rotation_text(connected.nonce, device_id, new_id, proof.signed_at, connected.host)
    _check_signature(new_key, successor.signature, text)
    _check_signature(key, successor.consent, text)
    return Proven(device_id, proof.public_key, new_id, successor.public_key)


def encoded(raw: bytes) -> str:
    """Bytes in base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str, size: int, reason: str, message: str) -> bytes:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != size or encoded(raw) != text:  # one spelling for each value
        raise _refused(reason, message, f"{size} raw bytes in base64url without padding")
    return raw


def _check_key(key: bytes) -> None:
    y = int.from_bytes(key, "little") & ((1 << 255) - 1)
    if y >= _PRIME or y in _SMALL_ORDER:
        raise _refused("bad_key", "The public key is not one that proves anything", "Make another key")


def _check_signature(key: bytes, signature: str, text: bytes) -> None:
    raw = _decoded(signature, SIGNATURE_BYTES, "bad_signature", "The signature is not one of Ed25519")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(raw, text)
    except (InvalidSignature, ValueError):
        raise _refused(
            "bad_signature",
            "The signature does not fit this connection",
            "Sign the nonce of this challenge, and the Host header as it was sent",
        ) from None


def _refused(reason: str, message: str, hint: str) -> Fault:
    return Fault(ErrorKind.UNAUTHORIZED, message, hint=hint, reason=reason)


def _lines(lines: Sequence[str]) -> bytes:
    # A line break inside a line would let one text stand for another.
    if any("\n" in line for line in lines):
        raise _refused(
            "bad_signature", "The signature does not fit this connection", "No line has a line break"
        )
    return "\n".join(lines).encode()
