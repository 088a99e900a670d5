"""Puts this folder on the path, so that the tests of every network share `channel_stage`."""
