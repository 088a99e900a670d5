"""Agents of kind "acp": programs of others that speak the Agent Client Protocol over stdio.

`agent.py` answers runs; below it `session.py` speaks the protocol, `wire.py` guards what comes in, `process.py` owns
the program, and `supervisor.py` is the small program between the gateway and it. Nothing outside imports `acp`.
"""
