"""The command line. `main` is the console script; each file holds one family of commands.

Commands that talk to a gateway use the Python client and nothing else, so whatever they do a user can script.
"""

from gateway.cli.main import main

__all__ = ["main"]
