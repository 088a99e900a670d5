"""Chat networks: the adapter port, the document model and its renderers, one folder per network, emulators.

Knows people's networks; knows neither the store nor the daemon. Adapters never import one another, never
retry, never sleep on a rate limit and hold no durable state: they convert, call once and report.
"""
