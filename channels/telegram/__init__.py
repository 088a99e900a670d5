"""Telegram: the adapter on python-telegram-bot's Bot, and the pure conversions it calls.

`adapter` alone speaks to the SDK's Bot and knows its errors; `poller` receives; `inbound`, `outbound` and
`render` convert without a loop; `settings` and `capabilities` hold what can be set and what is fixed.
"""
