"""Slack: `render` and `mrkdwn` show the document model in Slack's two markups; `limits` holds what is fixed."""
