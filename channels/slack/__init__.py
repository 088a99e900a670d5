"""Slack: the adapter on slack-bolt's AsyncApp and slack_sdk's AsyncWebClient, and the pure conversions it calls.

Receiving: `sockets` and `receiving` bring what Slack sends to `inbound` and `interactions`, which convert it without
a loop; `history` reads what was missed. Calling: `calls` makes each Web API call once and `failures` says what its
error means; `outbound`, `cards`, `render` and `mrkdwn` say what is sent. `workspaces` and `installs` know the tokens.
`adapter` puts the port's methods together. `manifest` describes the app to Slack; `settings`, `capabilities` and
`limits` hold what can be set and what is fixed.
"""
