"""Agents of kind script: scenarios from a YAML file, played the same way every time.

`scenarios.py` is the file as values, `agent.py` plays it, `texts.py` puts values into its texts.
"""
