"""What the configuration says of a tool of an agent: whether it is known, and whether a person is asked anyway. Pure.

A guess before anything runs: which tools an MCP server has is known only when it is asked. What really happens is
judged where tools are executed, of the tool that is there.
"""

from gateway.agent_settings import AcpSettings, AgentSettings, RemoteSettings, ToolSettings
from gateway.rules.names import fits_any


def is_known(agent: AgentSettings, name: str) -> bool:
    """Whether the agent may have a tool of that name."""
    if isinstance(agent, AcpSettings | RemoteSettings):
        return fits_any(agent.own_tools)(name)
    if not isinstance(agent, ToolSettings):
        return False
    return name in agent.tools or any(name.startswith(f"{server.name}.") for server in agent.mcp)


def asks_anyway(agent: AgentSettings, name: str) -> bool:
    """Whether its settings want a person asked about every call."""
    if isinstance(agent, AcpSettings):
        return True  # as far as the program asks at all
    if not isinstance(agent, ToolSettings):
        return False
    if name in agent.requires_approval:
        return True
    for server in agent.mcp:
        if name.startswith(f"{server.name}."):
            wanted = server.requires_approval
            return wanted == "all" or name[len(server.name) + 1 :] in wanted
    return False
