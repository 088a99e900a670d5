"""Discord: the adapter on discord.py's gateway and REST layers, and the pure conversions it calls.

`rest` and `gateway` alone call the SDK; `receiver` commits what the gateway brings, `catch_up` reads back what
it missed, `watch` and `places` know which rooms there are and how far each was read. `inbound`, `interactions`
and `outbound` convert without a loop; `render` shows the document model in Discord's Markdown; `settings`,
`capabilities` and `limits` hold what can be set and what is fixed.

What Discord tells nobody a second time is lost when it happens while no session runs: buttons pressed and
commands run (their tokens live three seconds; the person sees that nothing answered and tries again), deletions,
edits of messages older than `watch.OVERLAP_MS` before the last one taken, and the first words of somebody whose
direct chat with the bot was never seen. Messages are read back.
"""
