"""What it means when a gateway refuses, closes or does not answer: a line for people, and what to do."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadgate_client import (
    ConnectionClosed,
    ConnectionRefused,
    DeadlineExceeded,
    InvalidParams,
    RequestRefused,
    SubscriptionReset,
    ThreadgateError,
    Unauthorized,
)

from gateway.cli.failures import EXIT_UNUSABLE, fail

P = ParamSpec("P")
R = TypeVar("R")


def answered(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the client's errors into a message and an exit code, without a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ThreadgateError as error:
            fail(*describe(error), code=EXIT_UNUSABLE)

    return run


def describe(error: ThreadgateError) -> tuple[str, str]:
    """What went wrong, and what to do about it."""
    match error:
        case Unauthorized():
            return (
                "The gateway does not accept this token.",
                error.hint or "threadgate token create makes one",
            )
        case InvalidParams():
            return "; ".join(f"{path}: {message}" for path, message in error.errors) or error.message, ""
        case RequestRefused():
            return error.message, error.hint or ""
        case DeadlineExceeded():
            return f"No answer: {error}", "Is the gateway running, and is this its address?"
        case ConnectionRefused():
            return str(error), "Is this the address of a threadgate?"
        case ConnectionClosed():
            return f"The gateway closed the connection: {error.reason or error.code}", ""
        case SubscriptionReset():
            return f"This place in the log is gone: {error.reset.reason}", "Begin again with --from start."
        case _:
            return str(error), ""
