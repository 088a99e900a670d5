"""Those who answer. One file per kind, all behind `port.py`; `registry.py` makes them from the configuration."""
