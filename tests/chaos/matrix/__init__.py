"""The crash matrix: runs of every kind of agent, killed at every state and at every step of the journal.

A cell is one kind, one plan of kills and one manner of the person who stands by. `cells.py` says which there are,
`stage.py` plays them over real gateways, `judgement.py` looks at what came of one from outside.
"""
