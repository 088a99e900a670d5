"""How the API refuses a call: HTTP status, JSON code and message (topics/opcodes-and-status-codes.mdx).

Where the status is not documented it is what users of libraries reported in public threads. What is wrong with
the fields of a body is collected in `forms.py`.
"""

from typing import Any

Json = dict[str, Any]


class Refusal(Exception):
    """A call that is answered with an error and had no effect. `retry_after_s` only with status 429."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        errors: Json | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors
        self.retry_after_s = retry_after_s

    def to_wire(self) -> Json:
        """The body of the answer."""
        body: Json = {"message": self.message, "code": self.code}
        if self.errors is not None:
            body["errors"] = self.errors
        if self.retry_after_s is not None:
            body |= {"retry_after": self.retry_after_s, "global": False}
        return body


def unauthorized() -> Refusal:
    return Refusal(401, 0, "401: Unauthorized")


def not_found() -> Refusal:
    """A path that does not exist."""
    return Refusal(404, 0, "404: Not Found")


def rate_limited(retry_after_s: float) -> Refusal:
    return Refusal(429, 0, "You are being rate limited.", retry_after_s=retry_after_s)


def unknown(what: str) -> Refusal:
    """A 404 for a thing: channel, message, guild, member, user, webhook, interaction, application …"""
    return Refusal(404, _UNKNOWN[what], f"Unknown {what}")


def missing_access() -> Refusal:
    return Refusal(403, 50001, "Missing Access")


def missing_permissions() -> Refusal:
    return Refusal(403, 50013, "Missing Permissions")


def thread_is_archived() -> Refusal:
    return Refusal(400, 50083, "Thread is archived")


def thread_is_locked() -> Refusal:
    return Refusal(403, 160005, "Thread is locked")


def too_large() -> Refusal:
    return Refusal(413, 40005, "Request entity too large")


_UNKNOWN = {
    "Application": 10002,
    "Channel": 10003,
    "Guild": 10004,
    "Member": 10007,
    "Message": 10008,
    "User": 10013,
    "Emoji": 10014,
    "Webhook": 10015,
    "Interaction": 10062,
    "application command": 10063,
}
