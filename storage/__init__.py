"""The durable truth: the SQLite engine, migrations, named queries, repositories and the audit log.

The only package that opens a database. It knows the wire's records (`protocol`), nothing of channels or of the
daemon. `ports.py` and `values.py` are what the services see; `store.py` puts the repositories together.
"""
