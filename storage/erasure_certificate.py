"""The certificate of an erasure, checked offline: what it says is what a signed audit log says. Pure code.

It repeats the entry `data.erase` and carries the C2SP proof that this entry is in the log (`audit_proof.py`). So it is
signed by the key of the log, and whoever has the public half needs neither the store nor the gateway.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from storage import audit_proof
from storage.audit_notes import NoteError, Verifier

TYPE: Final = "threadgate/erasure"
VERSION: Final = 1


def verify(certificate: Mapping[str, Any], keys: Iterable[Verifier]) -> str:
    """The name of the key by whose word the certificate is true. Raises NoteError, which says what is wrong."""
    if (certificate.get("type"), certificate.get("v")) != (TYPE, VERSION):
        raise NoteError("this is no certificate of an erasure, or one of a newer version")
    text = certificate.get("proof")
    if not isinstance(text, str):
        raise NoteError("the certificate holds no proof")
    proof = audit_proof.parse(text)
    signer = proof.verify(keys)
    try:
        entry = orjson.loads(proof.entry)
        proven = {
            "erasure_id": entry["subject"]["erasure_id"],
            "counts": entry["detail"]["counts"],
            "audit_seq": entry["seq"],
        }
        action = entry["action"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise NoteError("the proof is not about an erasure") from None
    if action != "data.erase":
        raise NoteError("the proof is not about an erasure")
    for name, value in proven.items():
        if certificate.get(name) != value:
            raise NoteError(f"the certificate says another {name} than the log")
    return signer.name
