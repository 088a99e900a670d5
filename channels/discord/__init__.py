"""Discord: the adapter on discord.py's gateway and REST layers, and the pure conversions it calls.

`rest` and `gateway` alone call the SDK; `receiver` commits what the gateway brings, `catch_up` reads back what
it missed, `watch` and `places` know which rooms there are and how far each was read. `inbound`, `interactions`
and `outbound` convert without a loop; `render` shows the document model in Discord's Markdown; `settings`,
`capabilities` and `limits` hold what can be set and what is fixed.
"""
