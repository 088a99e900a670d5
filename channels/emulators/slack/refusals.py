"""How the Web API refuses a call: the error that becomes `{ok: false, error}`.

Codes are those of the methods' pages at https://docs.slack.dev/reference/methods. Nearly all of them are HTTP 200.
"""

from collections.abc import Iterable

from channels.emulators.slack.records import Json


class Refusal(Exception):
    """A call that is answered with an error and had no effect."""

    def __init__(
        self,
        error: str,
        *messages: str,
        status: int = 200,
        fields: Json | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(error)
        self.error = error
        self.messages = messages
        self.status = status
        self.fields = fields or {}
        self.retry_after_s = retry_after_s

    def to_wire(self) -> Json:
        """The body of the answer."""
        body: Json = {"ok": False, "error": self.error, **self.fields}
        if self.messages:
            body["response_metadata"] = {"messages": [f"[ERROR] {text}" for text in self.messages]}
        return body


def missing_scope(needed: Iterable[str], provided: Iterable[str]) -> Refusal:
    """The token lacks a permission; says which."""
    return Refusal(
        "missing_scope",
        fields={"needed": ",".join(sorted(needed)), "provided": ",".join(sorted(provided))},
    )


def rate_limited(retry_after_s: int) -> Refusal:
    """A 429 with its header."""
    return Refusal("ratelimited", status=429, retry_after_s=max(1, retry_after_s))
