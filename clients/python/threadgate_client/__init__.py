"""Python client of the Threadgate protocol: threads that resume without gaps.

    import asyncio
    from threadgate_client import Client

    async def main() -> None:
        async with Client("http://127.0.0.1:8787", token="tg_…", name="example") as client:
            async for chunk in client.ask("What is on today?"):
                print(chunk, end="", flush=True)

    asyncio.run(main())

An `Agent` is the other side: a process that answers (`agent.py`).

Everything public is named here; modules are an implementation detail, but for `errors`, which shows the tree.
"""

from threadgate_client.access import Approval, AuditEntry, Pairing, Token
from threadgate_client.agent import Agent
from threadgate_client.agent_run import AgentRun, Decision, PastFile, PastMessage
from threadgate_client.answers import (
    ConnectionLimits,
    CreatedToken,
    Head,
    Hello,
    HistoryPage,
    Page,
    Principal,
    Reloaded,
    Route,
    SearchMatch,
    SendResult,
    ServerInfo,
)
from threadgate_client.audits import AuditCheckpoint, AuditProof
from threadgate_client.blobs import Blob, Disconnected, Download
from threadgate_client.client import Client
from threadgate_client.closing import RetryVerdict
from threadgate_client.errors import (
    AgentError,
    ApprovalRequired,
    BudgetExceeded,
    Busy,
    ClientClosed,
    Conflict,
    ConnectionClosed,
    ConnectionRefused,
    DeadlineExceeded,
    Expired,
    Forbidden,
    IdempotencyConflict,
    InputRequired,
    Internal,
    InvalidParams,
    InvalidRequest,
    InvalidState,
    MethodNotFound,
    NotFound,
    PairingRequired,
    PolicyDenied,
    ProtocolViolation,
    RateLimited,
    RequestRefused,
    RunCancelled,
    RunEnded,
    RunFailed,
    RunInterrupted,
    StepFailed,
    SubscriptionReset,
    ThreadgateError,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from threadgate_client.items import Cursor, Lagging, Live, Reset, TextUpdate
from threadgate_client.journals import Replay, RunFinding, RunFindings, RunStep
from threadgate_client.networks import Channel, ChannelGap, Delivery
from threadgate_client.outputs import Item
from threadgate_client.records import (
    RUN_ENDINGS,
    Actor,
    AgentInfo,
    BlobPart,
    Event,
    EventKind,
    Message,
    Origin,
    Part,
    Run,
    RunError,
    RunState,
    TextPart,
    Thread,
    UnknownPart,
    Usage,
)
from threadgate_client.replies import ReplyStream
from threadgate_client.streams import Events, Inbox, Subscription
from threadgate_client.version import VERSION as __version__

__all__ = [
    "RUN_ENDINGS",
    "Actor",
    "Agent",
    "AgentError",
    "AgentInfo",
    "AgentRun",
    "Approval",
    "ApprovalRequired",
    "AuditCheckpoint",
    "AuditEntry",
    "AuditProof",
    "Blob",
    "BlobPart",
    "BudgetExceeded",
    "Busy",
    "Channel",
    "ChannelGap",
    "Client",
    "ClientClosed",
    "Conflict",
    "ConnectionClosed",
    "ConnectionLimits",
    "ConnectionRefused",
    "CreatedToken",
    "Cursor",
    "DeadlineExceeded",
    "Decision",
    "Delivery",
    "Disconnected",
    "Download",
    "Event",
    "EventKind",
    "Events",
    "Expired",
    "Forbidden",
    "Head",
    "Hello",
    "HistoryPage",
    "IdempotencyConflict",
    "Inbox",
    "InputRequired",
    "Internal",
    "InvalidParams",
    "InvalidRequest",
    "InvalidState",
    "Item",
    "Lagging",
    "Live",
    "Message",
    "MethodNotFound",
    "NotFound",
    "Origin",
    "Page",
    "Pairing",
    "PairingRequired",
    "Part",
    "PastFile",
    "PastMessage",
    "PolicyDenied",
    "Principal",
    "ProtocolViolation",
    "RateLimited",
    "Reloaded",
    "Replay",
    "ReplyStream",
    "RequestRefused",
    "Reset",
    "RetryVerdict",
    "Route",
    "Run",
    "RunCancelled",
    "RunEnded",
    "RunError",
    "RunFailed",
    "RunFinding",
    "RunFindings",
    "RunInterrupted",
    "RunState",
    "RunStep",
    "SearchMatch",
    "SendResult",
    "ServerInfo",
    "StepFailed",
    "Subscription",
    "SubscriptionReset",
    "TextPart",
    "TextUpdate",
    "Thread",
    "ThreadgateError",
    "Token",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "UnknownPart",
    "Usage",
    "__version__",
]
