"""Benchmarks: `python -m bench [NAME …]`. They talk to loopback only, are bounded and stop by themselves.

The gateway runs as a process of its own on one core, the load on another, so that "on one core" means what it
says. Results are written to `results/`, with the machine they were taken on; they are figures, not tests.
"""
