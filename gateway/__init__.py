"""The daemon. Floors, each using only those below: cli → daemon → app → edge → services → agents, hub, rules.

`rules/` are pure decisions, `services/` use cases over the store's ports, `agents/` those who answer, `hub/`
live fan-out, `edge/` HTTP and WebSocket. `app.py` is the only place that names concrete classes.
"""
