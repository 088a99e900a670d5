"""The governed scenario of `threadgate demo`: an agent wants to publish, and what governs that.

`scenario.py` tells it, `places.py` is the two chat networks and who is in them, `press.py` the program that
publishes, `configuration.py` what the gateway is told.
"""
