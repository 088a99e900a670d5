"""Every number of the wire contract, with its unit, its reason and its source, in one place.

Only limits a client can observe live here. Settings that an operator may turn are in `gateway/settings.py`
and start from these values.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

INTEGER_MAX: Final = 2**53 - 1
"""Largest integer every JSON implementation keeps exact (RFC 8259 §6)."""

SUBPROTOCOL: Final = "threadgate.v1"
MINORS: Final = (0,)
"""Minor versions this server speaks (PROTOCOL.md §12)."""

PRE_HELLO_FRAME_BYTES: Final = 64 * KIB
"""An unauthenticated peer may cost us no more than this per frame (PROTOCOL.md §1)."""
FRAME_BYTES: Final = 1 * MIB
"""Largest frame after `hello`; larger content goes over HTTP as a blob (PROTOCOL.md §1)."""
HELLO_TIMEOUT_S: Final = 10.0
"""Time to authenticate; Home Assistant and Centrifugo use the same 10 s (protocol §3)."""

HEARTBEAT_S: Final = 25
"""Ping and `heartbeat` interval: below the 30-60 s idle timeouts of common proxies (protocol §9)."""
PONG_TIMEOUT_S: Final = 20.0
"""Time to answer a ping before the connection counts as dead (protocol §9)."""
CLIENT_SILENCE_S: Final = 35.0
"""A client that hears nothing for this long closes and resumes: heartbeat + 10 s (protocol §9)."""

QUEUE_BYTES: Final = 1 * MIB
"""Outbound bytes that may wait per connection; Centrifugo uses 1 MB too (protocol §8)."""
QUEUE_FRAMES: Final = 1024
"""Outbound frames that may wait per connection (protocol §8)."""
STALL_TIMEOUT_S: Final = 15.0
"""A socket that takes no byte for this long is closed with 4104 (protocol §8)."""

REPLAY_EVENTS: Final = 256
REPLAY_BYTES: Final = 256 * KIB
"""One page of replay: bounded so that subscriptions share the reader fairly (protocol §8)."""

REQUESTS_PER_S: Final = 50.0
REQUEST_BURST: Final = 100
"""Token bucket per principal (protocol §8)."""
INFLIGHT_REQUESTS: Final = 64
"""Requests of one connection without an answer (protocol §8)."""
SUBSCRIPTIONS: Final = 128
"""Subscriptions per connection; the same number as Centrifugo's channel limit (protocol §8)."""

DELTA_INTERVAL_S: Final = 0.040
"""Deltas of a message are rolled up to one per 40 ms: models emit more than 150 tokens/s (protocol §7)."""
CHECKPOINT_INTERVAL_S: Final = 0.5
"""Partial text reaches the store about this often, so a restart loses at most this much of it (§7)."""
CURSOR_INTERVAL_S: Final = 1.0
"""With `kinds`, skipped events advance the cursor at least this often (protocol §6)."""

IDEMPOTENCY_KEY_CHARS: Final = 64
IDEMPOTENCY_TTL_S: Final = 24 * 3600
"""How long a stored answer is kept for a repeated key (protocol §4: at least 24 h)."""

TEXT_CHARS: Final = 256 * KIB
"""One text part: a quarter of the frame, so that even four-byte characters fit into it."""
PARTS: Final = 16
"""Content parts of one message: text and the files beside it."""
TITLE_CHARS: Final = 200
"""A thread's title fits one line of a list."""
NAME_CHARS: Final = 100
"""Names of tokens and clients."""
REASON_CHARS: Final = 500
"""Why somebody decided as they did: a sentence or two."""
GRANT_USES: Final = 1000
"""Times one grant may be used: what more often happens is for a policy to allow."""
GRANT_TTL_S: Final = 30 * 24 * 3600
"""How long one grant may live: a month, then somebody looks again."""
PREVIEW_CHARS: Final = 120
"""Inbox preview: one line."""
PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 500
"""Items of one page; `thread.history` promises up to 500 (protocol §4)."""
CURSOR_CHARS: Final = 200
"""An opaque list cursor."""

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_LAST_S: Final = 20.0
BACKOFF_RESET_S: Final = 10.0
"""Client reconnect: full jitter between the two, reset after 10 s live (protocol §9)."""

TOKEN_TTL_MAX_S: Final = 10 * 365 * 24 * 3600
"""The longest life of a token that expires at all: ten years, which is what certificates of machines get."""
TOKEN_OVERLAP_S: Final = 3600
TOKEN_OVERLAP_MAX_S: Final = 7 * 24 * 3600
"""How long a rotated token stays valid: an hour to roll out the new one, a week at most."""
TOKEN_NETWORKS: Final = 16
"""Ranges one token may come from: some offices and a data center; each request looks at all of them."""
TOKEN_REQUESTS_PER_S_MAX: Final = 10_000.0
"""A token's own rate cannot raise the principal's; more than this says nothing."""

DEVICE_SKEW_S: Final = 120
"""Accepted clock difference of a device signature (protocol §3)."""
