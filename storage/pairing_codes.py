"""What is stored of a pairing's code. The code itself is shown once, to whoever asks to be let in."""

import hashlib


def code_hash(pairing_id: str, code: str) -> str:
    """Hashed with the id: equal codes have different hashes, and none can be looked up in a list made before."""
    return hashlib.sha256(f"{pairing_id}:{code}".encode()).hexdigest()
