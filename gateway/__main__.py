"""`python -m gateway …` is the `threadgate` command."""

from gateway.cli import main

main()
