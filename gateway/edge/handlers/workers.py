"""Handlers for agent processes: the steps of the runs they execute."""

from gateway.edge.dispatch import Call
from protocol import requests as wire
from protocol.errors import ErrorKind, Fault
from protocol.frames import Result


async def run_step(call: Call, params: wire.RunStepParams) -> Result:
    """Journal a step of a run that the caller's own connection executes."""
    if call.worker is None:
        raise Fault(
            ErrorKind.INVALID_STATE,
            "run.step belongs to the connection that executes the run",
            hint="Say hello with role agent over the WebSocket, and send it there",
        )
    return await call.worker.execution(params.run_id, params.fence).step(params)
