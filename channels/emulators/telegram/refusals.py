"""How the Bot API refuses a call: the error that becomes `{ok: false, error_code, description, parameters}`.

Wordings are the real server's (tdlib/telegram-bot-api 10.0, Client.cpp and the library below it); what the
emulator does not emulate is refused with a text that says so.
"""

from math import ceil

from channels.emulators.telegram.records import Json

CONFLICT_POLL = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
CONFLICT_WEBHOOK = (
    "Conflict: can't use getUpdates method while webhook is active; "
    "use deleteWebhook to delete the webhook first"
)
CONFLICT_SET_WEBHOOK = "Conflict: terminated by setWebhook request"
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a "
    "current content and reply markup of the message"
)
QUERY_TOO_OLD = "query is too old and response timeout expired or query ID is invalid"


class Refusal(Exception):
    """A call that is answered with an error and had no effect."""

    def __init__(self, code: int, description: str, parameters: Json | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters

    def to_wire(self) -> Json:
        """The body of the answer."""
        body: Json = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters:
            body["parameters"] = self.parameters
        return body


def bad_request(text: str) -> Refusal:
    """A 400 with the server's prefix."""
    return Refusal(400, f"Bad Request: {text}")


def too_many_requests(wait_s: float) -> Refusal:
    """A 429; the server speaks in whole seconds and never says zero."""
    seconds = max(1, ceil(wait_s))
    return Refusal(429, f"Too Many Requests: retry after {seconds}", {"retry_after": seconds})


def not_emulated(what: str) -> Refusal:
    """An honest 400 for what the real server can do and this one cannot."""
    return bad_request(f"{what}: not emulated yet")
