"""Discord: the adapter on discord.py's gateway and REST layers, and the pure conversions it calls.

`rest` and `gateway` alone call the SDK; `receiver` commits what the gateway brings, `catch_up` reads back what
it missed, `watch` and `places` know which rooms there are and how far each was read. `inbound`, `interactions`
and `outbound` convert without a loop; `render` makes messages; `settings` and `capabilities` hold what can be
set and what is fixed.
"""
