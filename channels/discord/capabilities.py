"""Discord's limits: every number of this adapter with its unit, reason and source.

Documentation: https://github.com/discord/discord-api-docs (c98d64bc, 2026-08-06), API version 10. Library:
discord.py 2.7.1.
"""

from channels.capabilities import Capabilities, Idempotency, Rate, StreamMode, TextUnit
from channels.discord.limits import CONTENT_MAX_CODEPOINTS
from channels.messages import RoomRef

# Reference, uploading files: 10 MiB a file in guilds without boosts; nothing tells a bot of more beforehand.
FILE_MAX_BYTES = 10 * 1024 * 1024
# Components: 5 buttons in an action row, 5 action rows in a message.
BUTTONS_PER_ROW = 5
ACTIONS_MAX = 25
BUTTON_LABEL_MAX = 80
CUSTOM_ID_MAX = 100
# Modals: a text input takes 4000 characters; a reason needs far less.
REASON_MAX = 500
THREAD_NAME_MAX = 100
# A thread that nobody wrote in for a day is hidden, not closed: writing brings it back.
THREAD_HIDDEN_AFTER_MIN = 1440

# Trigger Typing Indicator: it ends after 10 seconds; two of them to get there.
TYPING_REFRESH_S = 8.0
# Messages of one channel share a bucket of 5 per 5 s (seen in its headers; edits have one of their own).
ROOM_RATE = Rate(per_s=1.0, burst=5)
EDIT_INTERVAL_S = 1.0
# Rate limits: 50 requests a second for a bot as a whole.
ACCOUNT_RATE = Rate(per_s=50.0, burst=50)

# Create Message: nonce of up to 25 characters; with enforce_nonce a second message with the same one is not
# made "within the past few minutes". The number is not published, so only the first minute is relied on.
NONCE_MAX = 25
NONCE_TRUSTED_MS = 60_000
# What our clock may be ahead of Discord's when a message is looked for by the time of its sending.
CLOCK_SLACK_MS = 5_000
# Get Channel Messages: 1 to 100.
HISTORY_PAGE = 100
# Own messages are looked for in this many pages after the time of sending; beyond that nobody can say.
RECONCILE_PAGES_MAX = 5

# Own messages whose operation is remembered, so that none is taken for another's: some hours of a busy bot.
SENT_REMEMBERED = 10_000

# One call as a whole, with the library's own tries after 500, 502 and 504 (at most five, 1 + 3 + 5 + 7 s apart).
REQUEST_TIMEOUT_S = 40.0
# A bucket that is empty for so short a time is waited for; longer waits are reported.
PACE_MAX_S = 1.0
# A ban by the network's shield (a 429 without the API's own header) names no end.
SHIELD_BAN_S = 300.0
# How long to leave a message alone that takes no more edits (30046 names no end when it comes without one).
OLD_EDIT_WAIT_S = 60.0
CONNECT_TIMEOUT_S = 10.0
DOWNLOAD_STALL_S = 30.0
# Closing handshake of the gateway; after that the socket is cut.
CLOSE_TIMEOUT_S = 2.0
# From connecting to the end of the gateway's greeting; what the library allows itself too.
GREETING_TIMEOUT_S = 60.0

# Gateway: 1000 identifies in 24 hours, else the token is reset. Waits between half the bound and the bound,
# 90 s on average at the end, make at most 960.
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 120.0
# Gateway: one identify per 5 s (max_concurrency 1).
IDENTIFY_SPACING_S = 5.0

# One transaction's worth of deliveries.
BATCH_MAX = 100
# Beyond this the socket is left unread until the store has caught up: Discord keeps what it could not send.
QUEUE_MAX = 1000
# Rooms read back at the same time, so that live messages keep their share of the 50 requests a second.
CATCH_UP_WORKERS = 4
# How long stopping waits for answers to people who pressed something.
ANSWERS_S = 3.0


def room_capabilities(room: RoomRef) -> Capabilities:
    """The same in channels, threads and direct messages."""
    return Capabilities(
        text_max=CONTENT_MAX_CODEPOINTS,
        text_unit=TextUnit.CODEPOINTS,
        idempotency=Idempotency.NONCE,
        can_edit=True,
        edit_interval_s=EDIT_INTERVAL_S,
        typing_refresh_s=TYPING_REFRESH_S,
        stream=StreamMode.EDIT,
        stream_interval_s=EDIT_INTERVAL_S,
        room_rate=ROOM_RATE,
        account_rate=ACCOUNT_RATE,
        file_max_bytes=FILE_MAX_BYTES,
        reactions=True,
        actions_max=ACTIONS_MAX,
    )
