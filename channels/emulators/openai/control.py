"""The control side of the stand-in: the script of answers, set and cleared over HTTP; faults and calls are shared."""

from aiohttp import web

from channels.emulators.control import read_body
from channels.emulators.errors import ControlError
from channels.emulators.openai.answers import AnswerScript, answer_of


class AnswerControl:
    """The handlers under `/control/answers`."""

    def __init__(self, script: AnswerScript) -> None:
        self._script = script

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application."""
        return [
            web.get("/control/answers", self.pending),
            web.post("/control/answers", self.add),
            web.post("/control/answers/always", self.always),
            web.delete("/control/answers", self.clear),
        ]

    async def pending(self, request: web.Request) -> web.Response:
        return web.json_response({"pending": self._script.pending})

    async def add(self, request: web.Request) -> web.Response:
        """`{"answers": [{…}, …]}`, each as `Answer` has it."""
        body = await read_body(request)
        answers = body.get("answers")
        if not isinstance(answers, list) or not all(isinstance(one, dict) for one in answers):
            raise ControlError("answers must be a list of objects")
        self._script.add(*[answer_of(one) for one in answers])
        return web.json_response({"pending": self._script.pending})

    async def always(self, request: web.Request) -> web.Response:
        """One answer, for whenever the script is empty."""
        self._script.always(answer_of(await read_body(request)))
        return web.json_response({"pending": self._script.pending})

    async def clear(self, request: web.Request) -> web.Response:
        self._script.clear()
        return web.json_response({"pending": 0})
