"""THE table of methods: name → params, result, scope, whether it changes something.

Declared once; the WebSocket, the HTTP twin, authorization, the schemas and the documentation all read it.
A method without a scope cannot be declared. `hello` is part of the handshake and not in the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from protocol.approval_requests import (
    ApprovalDecideParams,
    ApprovalListParams,
    ApprovalListResult,
    ApprovalParams,
    ApprovalResult,
)
from protocol.audits import AuditCheckpointResult, AuditProveParams, AuditProveResult
from protocol.device_requests import (
    DeviceChangeParams,
    DeviceInvokeParams,
    DeviceInvokeResult,
    DeviceListParams,
    DeviceListResult,
    DeviceParams,
    DeviceRenameParams,
    DeviceResult,
    PairingApproveParams,
    PairingDecideParams,
    PairingListParams,
    PairingListResult,
    PairingResult,
    PresenceListParams,
    PresenceListResult,
)
from protocol.errors import invalid_params
from protocol.privacy import DataEraseParams, DataEraseResult, RetentionRunParams, RetentionRunResult
from protocol.records import Record
from protocol.requests import (
    AgentListResult,
    AgentParams,
    AgentReloadResult,
    AgentResult,
    AuditListParams,
    AuditListResult,
    ChannelListResult,
    ChannelParams,
    ChannelResult,
    DeliveryListParams,
    DeliveryListResult,
    DeliveryParams,
    DeliveryResult,
    EmptyResult,
    InboxSubscribeParams,
    InboxSubscribeResult,
    MessageSendParams,
    MessageSendResult,
    Mutation,
    NoParams,
    Page,
    RouteExplainParams,
    RouteExplainResult,
    RunCancelParams,
    RunDiagnoseParams,
    RunDiagnoseResult,
    RunListParams,
    RunListResult,
    RunParams,
    RunReplayResult,
    RunResult,
    RunRetryParams,
    RunStepParams,
    RunStepResult,
    RunStepsResult,
    ServerInfoResult,
    ThreadAssignParams,
    ThreadChangeParams,
    ThreadCreateParams,
    ThreadHistoryParams,
    ThreadHistoryResult,
    ThreadListParams,
    ThreadListResult,
    ThreadParams,
    ThreadResult,
    ThreadSearchParams,
    ThreadSearchResult,
    ThreadSubscribeParams,
    ThreadSubscribeResult,
    ThreadUpdateParams,
    TokenCreateParams,
    TokenCreateResult,
    TokenListResult,
    TokenParams,
    TokenResult,
)
from protocol.scopes import Scope
from protocol.usage import AgentSwitchParams, AgentSwitchResult, UsageGetParams, UsageGetResult
from protocol.users import (
    AuthRefreshParams,
    AuthRefreshResult,
    UserLinkParams,
    UserLinkResult,
    UserListParams,
    UserListResult,
    UserResult,
    UserSaveParams,
)

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Method:
    """One row of the table. `mutating` methods take an `idempotency_key`."""

    name: str
    params: type[Record]
    result: type[Record]
    scope: Scope
    summary: str

    @property
    def mutating(self) -> bool:
        """Whether the method changes something durable (and therefore has an idempotency key)."""
        return issubclass(self.params, Mutation)


_ROWS: Final = (
    Method("server.info", NoParams, ServerInfoResult, Scope.SERVER_READ, "Who answers, with which limits"),
    Method(
        "auth.refresh",
        AuthRefreshParams,
        AuthRefreshResult,
        Scope.SELF_READ,
        "Give this connection a newer credential",
    ),
    Method("thread.create", ThreadCreateParams, ThreadResult, Scope.THREAD_WRITE, "Make an empty thread"),
    Method("thread.get", ThreadParams, ThreadResult, Scope.THREAD_READ, "Read one thread"),
    Method("thread.list", ThreadListParams, ThreadListResult, Scope.THREAD_READ, "Page through threads"),
    Method(
        "thread.update", ThreadUpdateParams, ThreadResult, Scope.THREAD_WRITE, "Rename, or change the agent"
    ),
    Method(
        "thread.assign",
        ThreadAssignParams,
        ThreadResult,
        Scope.THREAD_WRITE,
        "Take a thread over, hand it to somebody, give it back",
    ),
    Method("thread.archive", ThreadChangeParams, ThreadResult, Scope.THREAD_WRITE, "Put a thread away"),
    Method(
        "thread.restore",
        ThreadChangeParams,
        ThreadResult,
        Scope.THREAD_WRITE,
        "Bring an archived thread back",
    ),
    Method(
        "thread.delete", ThreadChangeParams, ThreadResult, Scope.THREAD_DELETE, "Erase a thread's content"
    ),
    Method(
        "thread.history", ThreadHistoryParams, ThreadHistoryResult, Scope.THREAD_READ, "Page through events"
    ),
    Method(
        "thread.search", ThreadSearchParams, ThreadSearchResult, Scope.THREAD_READ, "Find messages by words"
    ),
    Method(
        "thread.subscribe", ThreadSubscribeParams, ThreadSubscribeResult, Scope.THREAD_READ, "Follow a thread"
    ),
    Method("thread.unsubscribe", ThreadParams, EmptyResult, Scope.THREAD_READ, "Stop following a thread"),
    Method(
        "inbox.subscribe", InboxSubscribeParams, InboxSubscribeResult, Scope.THREAD_READ, "Follow all heads"
    ),
    Method("inbox.unsubscribe", NoParams, EmptyResult, Scope.THREAD_READ, "Stop following heads"),
    Method("message.send", MessageSendParams, MessageSendResult, Scope.MESSAGE_SEND, "Say something"),
    Method("run.get", RunParams, RunResult, Scope.RUN_READ, "Read one run"),
    Method("run.list", RunListParams, RunListResult, Scope.RUN_READ, "Page through runs"),
    Method("run.cancel", RunCancelParams, RunResult, Scope.RUN_CONTROL, "Stop a run"),
    Method("run.retry", RunRetryParams, RunResult, Scope.RUN_CONTROL, "Run the same input again"),
    Method("run.steps", RunParams, RunStepsResult, Scope.RUN_READ, "Read a run's journal"),
    Method(
        "run.diagnose",
        RunDiagnoseParams,
        RunDiagnoseResult,
        Scope.RUN_READ,
        "Why unfinished runs are where they are",
    ),
    Method("run.replay", RunParams, RunReplayResult, Scope.RUN_READ, "Execute a recorded run again"),
    Method("run.step", RunStepParams, RunStepResult, Scope.AGENT_SERVE, "Journal a step (agent processes)"),
    Method("agent.list", NoParams, AgentListResult, Scope.AGENT_READ, "All agents"),
    Method("agent.get", AgentParams, AgentResult, Scope.AGENT_READ, "Read one agent"),
    Method(
        "agent.reload",
        NoParams,
        AgentReloadResult,
        Scope.AGENT_CONTROL,
        "Read agents, routes, policies again",
    ),
    Method(
        "agent.switch",
        AgentSwitchParams,
        AgentSwitchResult,
        Scope.AGENT_SWITCH,
        "Switch agents off, or on again",
    ),
    Method(
        "usage.get", UsageGetParams, UsageGetResult, Scope.USAGE_READ, "What was used, and how budgets stand"
    ),
    Method("route.explain", RouteExplainParams, RouteExplainResult, Scope.AGENT_READ, "Who would answer"),
    Method("channel.list", NoParams, ChannelListResult, Scope.CHANNEL_READ, "All channel accounts"),
    Method(
        "channel.status", ChannelParams, ChannelResult, Scope.CHANNEL_READ, "How one channel account fares"
    ),
    Method(
        "approval.list", ApprovalListParams, ApprovalListResult, Scope.APPROVAL_READ, "Page through approvals"
    ),
    Method("approval.get", ApprovalParams, ApprovalResult, Scope.APPROVAL_READ, "Read one approval"),
    Method(
        "approval.decide",
        ApprovalDecideParams,
        ApprovalResult,
        Scope.APPROVAL_DECIDE,
        "Approve, deny, edit, ask for changes, grant",
    ),
    Method(
        "delivery.list",
        DeliveryListParams,
        DeliveryListResult,
        Scope.DELIVERY_READ,
        "Page through what is or was owed to rooms",
    ),
    Method(
        "delivery.retry", DeliveryParams, DeliveryResult, Scope.DELIVERY_CONTROL, "Send it (again) after all"
    ),
    Method(
        "delivery.settle",
        DeliveryParams,
        DeliveryResult,
        Scope.DELIVERY_CONTROL,
        "It arrived: do not send it again",
    ),
    Method("token.create", TokenCreateParams, TokenCreateResult, Scope.TOKEN_WRITE, "Make a token"),
    Method("token.list", Page, TokenListResult, Scope.TOKEN_READ, "Page through tokens"),
    Method("token.revoke", TokenParams, TokenResult, Scope.TOKEN_WRITE, "Revoke a token, at once"),
    Method("user.list", UserListParams, UserListResult, Scope.USER_READ, "Page through users and machines"),
    Method("user.save", UserSaveParams, UserResult, Scope.USER_WRITE, "Make or change a user"),
    Method("user.link", UserLinkParams, UserLinkResult, Scope.SELF_READ, "Link a chat identity to yourself"),
    Method("pairing.list", PairingListParams, PairingListResult, Scope.PAIRING_READ, "Who asks to be let in"),
    Method("pairing.approve", PairingApproveParams, PairingResult, Scope.PAIRING_APPROVE, "Let somebody in"),
    Method("pairing.reject", PairingDecideParams, PairingResult, Scope.PAIRING_APPROVE, "Shut somebody out"),
    Method("device.list", DeviceListParams, DeviceListResult, Scope.DEVICE_READ, "Page through devices"),
    Method("device.get", DeviceParams, DeviceResult, Scope.DEVICE_READ, "Read one device"),
    Method(
        "device.revoke", DeviceChangeParams, DeviceResult, Scope.DEVICE_CONTROL, "Shut a device out, at once"
    ),
    Method(
        "device.rename", DeviceRenameParams, DeviceResult, Scope.DEVICE_CONTROL, "Call a device otherwise"
    ),
    Method(
        "device.invoke",
        DeviceInvokeParams,
        DeviceInvokeResult,
        Scope.DEVICE_INVOKE,
        "Have a device do something",
    ),
    Method("presence.list", PresenceListParams, PresenceListResult, Scope.DEVICE_READ, "Who is connected"),
    Method(
        "data.erase",
        DataEraseParams,
        DataEraseResult,
        Scope.DATA_ERASE,
        "Erase a person, look before, or put a legal hold on what must be kept",
    ),
    Method(
        "retention.run",
        RetentionRunParams,
        RetentionRunResult,
        Scope.RETENTION_RUN,
        "Delete what is over its time, or count it",
    ),
    Method("audit.list", AuditListParams, AuditListResult, Scope.AUDIT_READ, "Page through the audit log"),
    Method(
        "audit.checkpoint",
        NoParams,
        AuditCheckpointResult,
        Scope.AUDIT_READ,
        "The signed size and root of the audit log",
    ),
    Method(
        "audit.prove",
        AuditProveParams,
        AuditProveResult,
        Scope.AUDIT_READ,
        "Prove that an entry is in the log",
    ),
)

METHODS: Final[Mapping[str, Method]] = MappingProxyType({row.name: row for row in _ROWS})
"""The table, by name."""


def params_of(method: Method, values: Mapping[str, Any]) -> Record:
    """Validate `values` as the params of `method`. Raises Fault (-32602) that names paths, never values."""
    return validated(method.params, values)


def validated(model: type[R], values: Any) -> R:
    """Validate `values` as `model`. Raises Fault (-32602) that names paths, never values."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid_params(
            [
                {"path": ".".join(str(step) for step in found["loc"]), "message": _message(found)}
                for found in error.errors(include_url=False, include_input=False)
            ]
        ) from None


def _message(found: ErrorDetails) -> str:
    if found["type"] == "union_tag_invalid":  # the only message of pydantic's that quotes what was given
        return f"`type` should be one of {found['ctx']['expected_tags']}"
    return found["msg"]
