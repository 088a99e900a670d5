"""How a call to a platform can fail, typed by what the caller may do next.

`ChannelError` is never raised itself. The question that matters is whether the effect is certain:
`UnknownOutcome` is the only one where the message may exist, and the only one that must be reconciled.
"""


class ChannelError(Exception):
    """Base. The text is safe to log: no token, no message content."""


class RateLimited(ChannelError):
    """Refused for now, certainly not done. Retry after `after_s` seconds; `scope` is what to hold back:
    `room` or `account`."""

    def __init__(self, after_s: float, scope: str = "account") -> None:
        super().__init__(f"rate limited ({scope}), retry after {after_s:g} s")
        self.after_s = after_s
        self.scope = scope


class Unreachable(ChannelError):
    """The platform could not be reached, certainly not done: retry with backoff."""


class UnknownOutcome(ChannelError):
    """The connection broke after the request may have arrived: reconcile before anything else."""


class Permanent(ChannelError):
    """Refused for good, certainly not done; the same call will never succeed."""


class StreamEnded(Permanent):
    """The message stands, but the platform lets it grow no more: go on with edits."""


class Gone(Permanent):
    """The room or the message no longer exists, or the bot was removed from it."""


class TooLarge(Permanent):
    """The file is larger than the platform, or the caller's limit, allows."""


class AuthLost(ChannelError):
    """The account's credential no longer works: nothing flows until an operator acts."""
