"""Slack's limits on what a message shows: every number with its unit, reason and source. Read in 2026-11."""

# Markdown block: "the cumulative limit for all markdown blocks in a single payload is 12,000 characters"
# (docs.slack.dev/reference/block-kit/blocks/markdown-block). Refusals were seen near 13,200 (slackapi/bolt-js#2509);
# what counts as a character is not said, so UTF-16 units, the larger count, and room for what is added later.
MARKDOWN_MAX_UTF16 = 11_000
# Table block: 100 rows, 20 columns, 10,000 characters in all cells of a message, one table a message
# (docs.slack.dev/reference/block-kit/blocks/table-block). The markdown block is translated into these blocks.
TABLE_ROWS_MAX = 100
TABLE_COLUMNS_MAX = 20
TABLE_CELLS_MAX_UTF16 = 10_000
# chat.postMessage, `text`: 4,000 characters recommended, cut after 40,000 (docs.slack.dev).
FALLBACK_MAX_CHARACTERS = 4_000
# Section block, `text`: at most 3,000 characters (docs.slack.dev/reference/block-kit/blocks/section-block).
SECTION_MAX_UTF16 = 3_000
