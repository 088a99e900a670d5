"""Python client of the Threadgate protocol: threads that resume without gaps.

    import asyncio
    from threadgate_client import Client

    async def main() -> None:
        async with Client("http://127.0.0.1:8787", token="tg_…", name="example") as client:
            async for chunk in client.ask("What is on today?"):
                print(chunk, end="", flush=True)

    asyncio.run(main())

An `Agent` is the other side: a process that answers (`agent.py`). A `Device` does what it is told (`device.py`).

Everything public is named here; modules are an implementation detail, but for `errors`, which shows the tree.
"""

from threadgate_client.access import AuditEntry, DeviceRequest, Pairing, Token
from threadgate_client.agent import Agent
from threadgate_client.agent_run import AgentRun, Decision, PastFile, PastMessage
from threadgate_client.answers import (
    ConnectionLimits,
    CreatedToken,
    Head,
    Hello,
    HistoryPage,
    Page,
    PairingAsked,
    Reloaded,
    Route,
    SearchMatch,
    SendResult,
    ServerInfo,
)
from threadgate_client.approvals import Approval, Edit, Grant, Rules, Vote
from threadgate_client.audits import AuditCheckpoint, AuditProof
from threadgate_client.blobs import Blob, Disconnected, Download
from threadgate_client.client import Client
from threadgate_client.closing import RetryVerdict
from threadgate_client.device import Device
from threadgate_client.device_keys import KeyUnusable
from threadgate_client.devices import (
    DeviceCommand,
    DeviceInfo,
    Invocation,
    Presence,
    Present,
    PresentDevice,
)
from threadgate_client.errors import (
    AgentError,
    ApprovalRequired,
    BudgetExceeded,
    Busy,
    ClientClosed,
    CommandFailed,
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
    Principal,
    Run,
    RunError,
    RunState,
    TextPart,
    Thread,
    UnknownPart,
    Usage,
)
from threadgate_client.replies import ReplyStream
from threadgate_client.spending import Budget, Switched, SwitchedOff, UsageGroup
from threadgate_client.streams import Events, Inbox, Subscription
from threadgate_client.users import Access, ChatLink, LinkProgress, User
from threadgate_client.version import VERSION as __version__

__all__ = [
    "RUN_ENDINGS",
    "Access",
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
    "Budget",
    "BudgetExceeded",
    "Busy",
    "Channel",
    "ChannelGap",
    "ChatLink",
    "Client",
    "ClientClosed",
    "CommandFailed",
    "Conflict",
    "ConnectionClosed",
    "ConnectionLimits",
    "ConnectionRefused",
    "CreatedToken",
    "Cursor",
    "DeadlineExceeded",
    "Decision",
    "Delivery",
    "Device",
    "DeviceCommand",
    "DeviceInfo",
    "DeviceRequest",
    "Disconnected",
    "Download",
    "Edit",
    "Event",
    "EventKind",
    "Events",
    "Expired",
    "Forbidden",
    "Grant",
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
    "Invocation",
    "Item",
    "KeyUnusable",
    "Lagging",
    "LinkProgress",
    "Live",
    "Message",
    "MethodNotFound",
    "NotFound",
    "Origin",
    "Page",
    "Pairing",
    "PairingAsked",
    "PairingRequired",
    "Part",
    "PastFile",
    "PastMessage",
    "PolicyDenied",
    "Presence",
    "Present",
    "PresentDevice",
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
    "Rules",
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
    "Switched",
    "SwitchedOff",
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
    "UsageGroup",
    "User",
    "Vote",
    "__version__",
]
