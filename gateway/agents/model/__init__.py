"""kind="model": a language model with the gateway's tools, over pydantic-ai's providers.

`agent.py` drives an attempt; everything else is one question each: whom to ask (`provider.py`), what to tell
(`prompt.py`, `history.py`, `packs.py`, `given.py`), a request as a step (`journalled.py`), tools (`tools.py`), what it
costs (`prices.py`), what went wrong (`failures.py`).
"""
