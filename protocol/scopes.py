"""The scopes of v1: what a method may require. Which role holds which is `gateway/rules/scopes.py`."""

from enum import StrEnum


class Scope(StrEnum):
    """`resource.verb`, a closed list."""

    SERVER_READ = "server.read"
    THREAD_READ = "thread.read"
    THREAD_WRITE = "thread.write"
    THREAD_DELETE = "thread.delete"
    MESSAGE_SEND = "message.send"
    RUN_READ = "run.read"
    RUN_CONTROL = "run.control"
    AGENT_READ = "agent.read"
    AGENT_CONTROL = "agent.control"
    AGENT_SERVE = "agent.serve"
    CHANNEL_READ = "channel.read"
    APPROVAL_READ = "approval.read"
    APPROVAL_DECIDE = "approval.decide"
    DELIVERY_READ = "delivery.read"
    DELIVERY_CONTROL = "delivery.control"
    TOKEN_READ = "token.read"
    TOKEN_WRITE = "token.write"
    PAIRING_READ = "pairing.read"
    PAIRING_APPROVE = "pairing.approve"
    AUDIT_READ = "audit.read"
