"""The proof of a device's key: good once, here, now, for this role, and for nothing else."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol import device_identity as identity
from protocol.device_identity import Connected, device_id_of, encoded, verified
from protocol.devices import DeviceProof, DeviceSuccessor
from protocol.errors import ErrorKind, Fault
from protocol.limits import DEVICE_SKEW_S

NOW_MS = 1_795_000_000_000
HERE = Connected(nonce="bm9uY2Ugb2YgdGhpcw", role="device", host="gate.example:8787", now_ms=NOW_MS)
SEED = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
RAW = KEY.public_key().public_bytes_raw()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(reversed(range(32))))
LINES = 6


def lines_of(signed_at: int = NOW_MS, here: Connected = HERE) -> list[bytes]:
    """The six lines of the text, by the protocol's own words."""
    device_id = encoded(hashlib.sha256(RAW).digest())
    return [
        b"threadgate.v1",
        here.nonce.encode(),
        device_id.encode(),
        here.role.encode(),
        str(signed_at).encode(),
        here.host.encode(),
    ]


def proof_over(text: bytes, signed_at: int = NOW_MS, key: Ed25519PrivateKey = KEY) -> DeviceProof:
    return DeviceProof(public_key=encoded(RAW), signed_at=signed_at, signature=encoded(key.sign(text)))


def good(signed_at: int = NOW_MS, here: Connected = HERE) -> DeviceProof:
    return proof_over(b"\n".join(lines_of(signed_at, here)), signed_at)


def reason(proof: DeviceProof, here: Connected = HERE) -> str:
    with pytest.raises(Fault) as caught:
        verified(proof, here)
    assert caught.value.kind is ErrorKind.UNAUTHORIZED
    found: str = caught.value.data["reason"]
    return found


def test_the_text_is_the_six_lines_of_the_protocol() -> None:
    text = identity.signed_text(HERE.nonce, device_id_of(RAW), "device", NOW_MS, HERE.host)
    assert text == b"\n".join(lines_of())
    assert text.count(b"\n") == LINES - 1


def test_an_id_is_the_hash_of_the_key_in_base64url_without_padding() -> None:
    assert device_id_of(RAW) == encoded(hashlib.sha256(RAW).digest())
    assert len(device_id_of(RAW)) == 43
    assert "=" not in device_id_of(RAW)


def test_a_good_proof_names_the_device() -> None:
    assert verified(good(), HERE).device_id == device_id_of(RAW)


def test_a_known_key_has_a_known_id_and_signature() -> None:
    """Written down, so that keys made today stay valid."""
    assert encoded(RAW) == "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
    assert device_id_of(RAW) == "Vkdap1RjR0wChd9dvyvKtz2mUTWIOem3dIGy6rEHcIw"
    signature = "DI078ZYFemqXG52T2DLm8_UcKr6dUvLOkn6Srdl8Z2OiJNSKS2nzKq2wOeAO_rBDs_GMSBAmD9cQhiVV-a1FCg"
    assert verified(good().model_copy(update={"signature": signature}), HERE)


@given(line=st.integers(0, LINES - 1), place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_any_changed_byte_of_any_line_is_refused(line: int, place: int, byte: int) -> None:
    lines = lines_of()
    changed = bytearray(lines[line])
    changed[place % len(changed)] ^= byte or 1
    lines[line] = bytes(changed)
    assert reason(proof_over(b"\n".join(lines))) == "bad_signature"


@given(line=st.integers(0, LINES - 1), place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_any_byte_more_or_less_in_any_line_is_refused(line: int, place: int, byte: int) -> None:
    for change in (
        lambda text, at: text[:at] + bytes([byte]) + text[at:],
        lambda text, at: text[:at] + text[at + 1 :],
    ):
        lines = lines_of()
        before = lines[line]
        lines[line] = change(before, place % len(before))
        if lines[line] != before:
            assert reason(proof_over(b"\n".join(lines))) == "bad_signature"


@given(bit=st.integers(0, 64 * 8 - 1))
def test_any_changed_bit_of_the_signature_is_refused(bit: int) -> None:
    raw = bytearray(KEY.sign(b"\n".join(lines_of())))
    raw[bit // 8] ^= 1 << bit % 8
    assert reason(good().model_copy(update={"signature": encoded(bytes(raw))})) == "bad_signature"


@given(bit=st.integers(0, 32 * 8 - 1))
def test_any_changed_bit_of_the_key_is_refused(bit: int) -> None:
    raw = bytearray(RAW)
    raw[bit // 8] ^= 1 << bit % 8
    assert reason(good().model_copy(update={"public_key": encoded(bytes(raw))})) in (
        "bad_signature",
        "bad_key",
    )


@given(order=st.permutations(range(LINES)))
def test_lines_in_another_order_are_refused(order: list[int]) -> None:
    lines = lines_of()
    if order != sorted(order):
        assert reason(proof_over(b"\n".join(lines[at] for at in order))) == "bad_signature"


ELSEWHERE: dict[str, dict[str, Any]] = {
    "role": {"role": "client"},
    "host": {"host": "gate.example"},
    "case of the host": {"host": "GATE.example:8787"},
    "nonce": {"nonce": "bm9uY2Ugb2YgdGhhdA"},
    "empty nonce": {"nonce": ""},
    "line break in the host": {"host": "gate.example:8787\n"},
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_a_proof_is_good_for_its_own_connection_alone(what: str) -> None:
    assert reason(good(), replace(HERE, **ELSEWHERE[what])) == "bad_signature"


@given(ahead_ms=st.integers(-(10**9), 10**9))
def test_a_signature_is_good_for_two_minutes_by_our_clock(ahead_ms: int) -> None:
    proof = good(NOW_MS + ahead_ms)
    if abs(ahead_ms) <= DEVICE_SKEW_S * 1000:
        assert verified(proof, HERE).device_id == device_id_of(RAW)
    else:
        assert reason(proof) == "clock_skew"


@pytest.mark.parametrize("ahead_ms", [-120_000, 120_000])
def test_exactly_two_minutes_are_good(ahead_ms: int) -> None:
    assert verified(good(NOW_MS + ahead_ms), HERE)


@given(text=st.text(max_size=64))
def test_what_is_no_key_is_refused(text: str) -> None:
    if text != encoded(RAW):
        assert reason(good().model_copy(update={"public_key": text})) in ("bad_key", "bad_signature")


@pytest.mark.parametrize(
    "spelling",
    [encoded(RAW) + "=", encoded(RAW).replace("_", "/"), encoded(RAW)[:-1] + "h", f" {encoded(RAW)}"],
)
def test_a_key_has_one_spelling(spelling: str) -> None:
    assert reason(good().model_copy(update={"public_key": spelling})) == "bad_key"


def test_keys_under_which_anybody_can_sign_are_refused() -> None:
    """Points of small order, with either sign, and spellings beyond the prime."""
    prime = 2**255 - 19
    for y in (*identity._SMALL_ORDER, prime, prime + 1):
        for sign in (0, 1 << 255):
            raw = (y | sign).to_bytes(32, "little")
            assert reason(good().model_copy(update={"public_key": encoded(raw)})) == "bad_key"


# --- another key --------------------------------------------------------------------------------------


def handing_over(
    text: bytes | None = None, new: Ed25519PrivateKey = OTHER, by: Ed25519PrivateKey = KEY
) -> DeviceProof:
    new_raw = new.public_key().public_bytes_raw()
    lines = [
        b"threadgate.v1.rotate",
        HERE.nonce.encode(),
        device_id_of(RAW).encode(),
        device_id_of(new_raw).encode(),
        str(NOW_MS).encode(),
        HERE.host.encode(),
    ]
    text = text if text is not None else b"\n".join(lines)
    successor = DeviceSuccessor(
        public_key=encoded(new_raw), signature=encoded(new.sign(text)), consent=encoded(by.sign(text))
    )
    return good().model_copy(update={"successor": successor})


def test_a_key_hands_over_to_another_that_signs_too() -> None:
    proven = verified(handing_over(), HERE)
    assert proven.device_id == device_id_of(RAW)
    assert proven.successor_id == device_id_of(OTHER.public_key().public_bytes_raw())


def test_handing_over_needs_both_and_another_key() -> None:
    stranger = Ed25519PrivateKey.generate()
    assert reason(handing_over(by=stranger)) == "bad_signature"
    assert reason(handing_over(b"something else")) == "bad_signature"
    assert reason(handing_over(new=KEY)) == "bad_key"


def test_a_hello_is_not_taken_for_handing_over() -> None:
    assert reason(handing_over(b"\n".join(lines_of()))) == "bad_signature"


def test_a_fingerprint_is_the_id_in_groups() -> None:
    shown = identity.fingerprint_of(device_id_of(RAW))
    assert shown.startswith("SHA256:")
    assert shown.removeprefix("SHA256:").replace(" ", "") == device_id_of(RAW)
