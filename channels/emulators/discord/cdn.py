"""Addresses of attachments: signed, and good for a day (reference.mdx#signed-attachment-cdn-urls).

Pure; the clock is injected. Addresses are signed anew whenever a message is written out, as on the network.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping

from channels.emulators.discord.records import Attachment

# Observed life of a signed address; the documentation only says that it ends.
URL_LIFE_S = 24 * 3600


class Cdn:
    """Signs and checks. `base_url` is set when the emulator listens."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.base_url = ""
        self._clock = clock
        self._secret = secrets.token_bytes(32)

    def url_of(self, attachment: Attachment) -> str:
        """A fresh address."""
        issued_at = int(self._clock())
        expires, issued = f"{issued_at + URL_LIFE_S:x}", f"{issued_at:x}"
        path = f"/attachments/{attachment.channel_id}/{attachment.id}/{attachment.filename}"
        return f"{self.base_url}{path}?ex={expires}&is={issued}&hm={self._sign(path, expires, issued)}&"

    def admits(self, path: str, query: Mapping[str, str]) -> bool:
        """Whether an address was signed here and is still good."""
        expires, issued = query.get("ex", ""), query.get("is", "")
        if not hmac.compare_digest(self._sign(path, expires, issued).encode(), query.get("hm", "").encode()):
            return False
        return int(expires, 16) > self._clock()

    def _sign(self, path: str, expires: str, issued: str) -> str:
        return hmac.new(self._secret, f"{path} {expires} {issued}".encode(), hashlib.sha256).hexdigest()
