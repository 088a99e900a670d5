"""The crash loop: a real gateway, killed again and again under load, and the proof that nothing was lost.

Run it with `make chaos`, or `python -m tests.chaos.crash_loop --kills N --seed S` at the root of the sources.
Imports here are relative: pytest knows the package as `chaos`, the command as `tests.chaos`.
"""
