"""Every number this client uses, with its unit and its reason. What the gateway announces in `hello` wins.

Nothing but constants lives here. Sections are those of the published protocol text.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

SUBPROTOCOL: Final = "threadgate.v1"
MINOR: Final = 0
"""The minor version this client speaks (protocol §12)."""
SOCKET_PATH: Final = "/v1/ws"

PRE_HELLO_FRAME_BYTES: Final = 64 * KIB
"""What the gateway accepts before `hello` succeeded: the resume list must fit (protocol §1)."""
FRAME_BYTES: Final = 1 * MIB
"""Largest frame we send until `hello` announces the gateway's own limit (protocol §1)."""
RECEIVED_FRAME_BYTES: Final = 16 * MIB
"""Largest frame we take: the limit is configurable there, and a refused frame would come back for ever."""
INFLIGHT_REQUESTS: Final = 64
"""Requests without an answer, until `hello` announces the gateway's own limit (protocol §8)."""
RESUMED_SUBSCRIPTIONS: Final = 128
"""Most subscriptions one `hello` may name; the rest is subscribed afterwards (protocol §8)."""
IDEMPOTENCY_KEY_BYTES: Final = 16
"""Random bytes of a generated key, written as 32 hex digits: fits 64 characters, never collides."""

CHALLENGE_TIMEOUT_S: Final = 10.0
"""The challenge comes at once; the same patience the gateway has with `hello` (protocol §3)."""
SILENCE_GRACE_S: Final = 10.0
"""Added to the announced heartbeat: 25 s + 10 s is the protocol's 35 s (protocol §9)."""
HEARTBEAT_S: Final = 25.0
"""The gateway's heartbeat interval until `hello` announces it (protocol §9)."""
OWN_REQUEST_TIMEOUT_S: Final = 30.0
"""A subscribe that is not answered for so long means a broken connection: drop it and resume."""
CLOSE_GRACE_S: Final = 2.0
"""After a refused `hello` the gateway closes; if it does not, we do."""
RESUBSCRIBE_EVERY_S: Final = 0.25
"""Gaps ask for a new subscription at most this often per thread, whatever the gateway does."""
RETRY_REQUEST_S: Final = 1.0
"""Pause before asking again for a subscription that was refused for now without a `retry_after_ms`."""

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_LAST_S: Final = 20.0
BACKOFF_RESET_S: Final = 10.0
"""Reconnect with full jitter between the first two; forgotten after so long live (protocol §9)."""
RETRY_AFTER_MAX_S: Final = 300.0
"""A gateway may ask for patience, but not send a client away for good by a typing error."""

REQUEST_TIMEOUT_S: Final = 30.0
"""Default time for an answer, reconnects included: 20 s of backoff and a slow answer fit."""
CONNECT_TIMEOUT_S: Final = 15.0
"""Default time for the first connection: a few attempts against a gateway that is just starting."""
DIAL_TIMEOUT_S: Final = 10.0
"""One TCP, TLS and HTTP handshake."""
SEND_TIMEOUT_S: Final = 15.0
"""A socket that takes nothing for so long is dead; the gateway uses the same number (protocol §8)."""
CLOSE_TIMEOUT_S: Final = 1.0
"""Closing is polite, but prompt."""
REPLY_TIMEOUT_S: Final = 600.0
"""Default time for one whole reply: agents that use tools take minutes."""

BUFFER_ITEMS: Final = 1024
BUFFER_BYTES: Final = 4 * MIB
"""Per iterator, unread: beyond either, the subscription pauses and later continues from its cursor."""
BUFFER_RESUME_SHARE: Final = 0.25
"""A paused subscription continues when this share of the items is left: the reader need not run dry."""
FINISHED_MESSAGES: Final = 64
"""Finished messages remembered per subscription, so that a late delta is not taken for a new stream."""

PAGE_DEFAULT: Final = 50
"""Items per page when the caller does not say; the gateway allows 500 (protocol §4)."""

AGENT_RUNS: Final = 8
"""Runs an agent process takes at once unless told: answering is mostly waiting for somebody else."""
AGENT_STOP_S: Final = 30.0
"""Time the runs under way get when an agent process is told to stop; container platforms wait about as long."""
BACKLOG_CHARS: Final = 256 * KIB
"""What an agent may have said and not written yet before it has to wait: a second of a very fast one."""
PIECE_CHARS: Final = 32 * KIB
"""The longest piece of text in one frame: it fits, however its characters are written."""
BEAT_S: Final = 15.0
"""An agent process that is silent for so long says that it is at work, unless the gateway asks for another pace."""
STEP_TIMEOUT_S: Final = 60.0
"""Time for the gateway to record a step; it writes to its store, which may have to wait for a disk."""
COMMAND_RESULT_CHARS: Final = 256 * KIB
"""Of a command's result as JSON; the gateway keeps no larger one."""
DEVICE_STOP_S: Final = 30.0
"""Time the commands under way get when a device is told to stop."""
INVOKE_TIMEOUT_S: Final = 30.0
"""How long a device has to do something unless told."""
INVOKE_MARGIN_S: Final = 10.0
"""Added to that before an answer of the gateway is given up: its own word comes first."""
PAIRING_POLL_S: Final = 3.0
"""Between two looks whether somebody has approved this device: about as long as a person waits without wondering."""
ERROR_CHARS: Final = 500
"""Of an error's text that is recorded or told."""
