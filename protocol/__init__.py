"""The wire: frames, methods, events, errors, limits and the schemas generated from them.

Pure: no asyncio, no sockets, no clock, no files but the committed schemas. Everything here takes time, ids and
randomness as arguments and returns values, so that servers, clients and tests can share it. `docs/PROTOCOL.md`
is the text; `methods.METHODS` is the one table behind it.
"""
