"""Slack's limits and this adapter's times: every number with its unit, reason and source. Read in 2026-11.

What a message may hold is in `limits`.
"""

from channels.capabilities import Capabilities, Idempotency, Rate, StreamMode, TextUnit
from channels.messages import RoomRef
from channels.slack.limits import MARKDOWN_MAX_UTF16

# chat.appendStream, `markdown_text`: "Limit this field to 12,000 characters".
APPEND_MAX_CHARACTERS = 12_000
# chat.update is Tier 3: 50 a minute in a workspace, all rooms together.
EDIT_INTERVAL_S = 1.5
# chat.appendStream is Tier 4: 100 a minute.
STREAM_INTERVAL_S = 1.0
# A stream ends about 5 minutes after its start, with or without traffic (slackapi/python-slack-sdk#1859): stop before.
STREAM_MAX_S = 220.0
# assistant.threads.setStatus: the status is shown for two minutes.
TYPING_REFRESH_S = 100.0
# chat.postMessage: one message per second and channel, short bursts are tolerated
# (docs.slack.dev/apis/web-api/rate-limits).
ROOM_RATE = Rate(per_s=1.0, burst=3)
# Slack takes files of 1 GB; ours are held in memory while they are uploaded.
FILE_MAX_BYTES = 100 * 1024 * 1024
# An actions block has at most 25 elements (docs.slack.dev/reference/block-kit/blocks/actions-block).
ACTIONS_MAX = 25
# assistant.threads.setSuggestedPrompts takes 1 to 4.
PROMPTS_MAX = 4
# agents.sessions.rename: 1 to 200 characters; a title is one line of a list, so less.
TITLE_MAX = 80

# A request that was accepted is answered well before this; a longer wait only delays asking what became of it.
REQUEST_TIMEOUT_S = 25.0
CONNECT_TIMEOUT_S = 10.0
# Looking up who somebody is happens before the acknowledgement, which Slack wants within 3 s.
LOOKUP_TIMEOUT_S = 1.5
# Names and guest status change rarely; ten thousand people are about 2 MB.
PROFILE_LIFE_S = 3600.0
PROFILES_MAX = 10_000

# How far our clock and Slack's may differ: messages from this long before an attempt are looked at.
CLOCK_SKEW_S = 60.0
# conversations.history and .replies: up to 999 a page, 200 recommended.
HISTORY_PAGE = 200
RECONCILE_PAGES_MAX = 10
# Operations, marks and looks that are remembered to save calls; forgetting one costs a call.
REMEMBERED_MAX = 1_000

# Slack repeats an event that was not acknowledged at once, after about 1 and after about 5 minutes. What was not
# stored at the moment of a cursor can therefore come this much later, or not at all if we were away: read it again.
OVERLAP_S = 600.0
# While no socket was open for shorter than this, one of those repetitions comes after it.
OUTAGE_S = 30.0
# Threads whose first message is older are not looked into after an outage; their replies meanwhile are missed.
THREADS_LOOKBACK_S = 7 * 86_400.0
# 10 x 200 messages of one room; beyond that the gap is reported.
CATCH_UP_PAGES_MAX = 10
# Deliveries stored in one transaction while catching up.
CATCH_UP_BATCH = 100

# Two, so that one is open while Slack moves the other to another of its machines; Slack allows 10.
SOCKETS = 2
# aiohttp closes the socket when a ping is not answered within half of this.
PING_S = 20.0
# hello comes at once after the upgrade; a socket that stays silent for longer is not one.
HELLO_TIMEOUT_S = 15.0
# How long a socket that Slack asked to leave is still read from, once its successor is open.
FAREWELL_S = 10.0
# Waits between failed connections: apps.connections.open is scarce, yet a recovery should be noticed soon.
BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 30.0
# Socket Mode was switched off, or there are too many sockets: only a person can change that.
BACKOFF_REFUSED_S = 60.0
# Envelopes of one socket that are being stored at once; Slack keeps the rest.
IN_FLIGHT_MAX = 256
# Deliveries in one transaction.
COMMIT_BATCH_MAX = 200
# Stopping waits this long for what is being stored and acknowledged.
STOP_TIMEOUT_S = 5.0


def room_capabilities(room: RoomRef) -> Capabilities:
    """Streams and status need a thread to stand in; the rest is the same everywhere."""
    has_thread = room.topic is not None
    return Capabilities(
        text_max=MARKDOWN_MAX_UTF16,
        text_unit=TextUnit.UTF16,
        idempotency=Idempotency.READBACK,
        can_edit=True,
        edit_interval_s=EDIT_INTERVAL_S,
        typing_refresh_s=TYPING_REFRESH_S if has_thread else None,
        stream=StreamMode.NATIVE if has_thread else StreamMode.EDIT,
        stream_interval_s=STREAM_INTERVAL_S if has_thread else EDIT_INTERVAL_S,
        stream_max_s=STREAM_MAX_S if has_thread else None,
        room_rate=ROOM_RATE,
        file_max_bytes=FILE_MAX_BYTES,
        reactions=True,
        actions_max=ACTIONS_MAX,
    )
