"""Discord's limits on what a message shows: every number with its unit, reason and source. Read in 2026-11."""

# Create Message, `content`: "up to 2000 characters" (discord-api-docs, resources/message), counted in code points.
CONTENT_MAX_CODEPOINTS = 2_000
# Message flag SUPPRESS_EMBEDS, 1 << 2: no previews of the addresses in a message (discord-api-docs, message flags).
SUPPRESS_EMBEDS = 4
