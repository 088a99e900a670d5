"""Agents of kind remote: processes of somebody else that connect and answer."""
