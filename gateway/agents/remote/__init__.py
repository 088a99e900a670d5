"""Agents of kind remote: processes of somebody else that connect and answer."""

from gateway.agents.remote.agent import create

__all__ = ["create"]
