"""Telegram: the adapter on python-telegram-bot's Bot, and the pure conversions it calls.

`adapter` puts the port together. `bot_api` alone calls the SDK, `failures` knows its errors. Updates come in through
`poller` or `webhook`, which share `receiving`; `updates`, `inbound` and `attachments` read them. `outbound`, `cards`
and `render` make what goes out, without a loop. `settings` and `capabilities` hold what can be set and what is fixed.
"""
