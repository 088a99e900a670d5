"""Use cases over the store's ports: each file is one thing the gateway does. No HTTP, no SQL, no platform."""
