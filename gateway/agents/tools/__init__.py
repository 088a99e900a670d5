"""The tools of the gateway, for every kind of agent that may use them: built-in ones, and those of MCP servers.

`port.py` says what a tool is, `use.py` how it is used, `toolbox.py` which ones an agent has.
"""
