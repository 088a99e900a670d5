"""Handlers of what operators want to know of runs: their journals, what holds them up, and the same again."""

from typing import Final

from gateway.edge.dispatch import Call
from gateway.services.replay import Replays
from gateway.services.run_doctor import RunDoctor
from protocol import limits
from protocol import requests as wire
from protocol.frames import Result
from storage.run_ports import JournalStore

STEP_BYTES: Final = 4 * limits.KIB
"""Of a request or a result in a journal that is shown; what is longer is shown by its digest."""


class Examining:
    """What is asked about runs, and changes nothing."""

    def __init__(self, journal: JournalStore, doctor: RunDoctor, replays: Replays) -> None:
        self._journal = journal
        self._doctor = doctor
        self._replays = replays

    async def run_steps(self, call: Call, params: wire.RunParams) -> Result:
        steps = await self._journal.read(call.act.org_id, params.run_id, STEP_BYTES)
        return wire.RunStepsResult(steps=steps)

    async def run_diagnose(self, call: Call, params: wire.RunDiagnoseParams) -> Result:
        return await self._doctor.diagnose(call.act.org_id, params.run_id)

    async def run_replay(self, call: Call, params: wire.RunParams) -> Result:
        return wire.RunReplayResult(replay=await self._replays.replay(call.act.org_id, params.run_id))
