"""Emulators: local servers that speak a chat network's own protocol, for tests, the demo and offline play.

They know the network's rules and nothing of this product: no adapter, no gateway, no store.
"""
