"""One REST call as plain data: what was asked, and the answer. Pure; `rest.py` reads and writes HTTP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from channels.emulators.discord.forms import invalid_form, is_digits
from channels.emulators.discord.records import Bot, Json, Upload
from channels.emulators.discord.world import World


@dataclass(frozen=True, slots=True)
class Ask:
    """A call. `bot` is who calls; calls whose path holds a token of an interaction need nobody else."""

    world: World
    bot: Bot
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: object = None
    uploads: list[Upload] = field(default_factory=list)

    def id(self, name: str) -> int:
        """An id of the path; the router lets only digits through."""
        return int(self.path[name])

    def fields(self) -> Json:
        """The body as an object; nothing at all counts as an empty one. Raises Refusal."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise invalid_form((), "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return self.body

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A number of the query. Raises Refusal."""
        raw = self.query.get(name, str(default))
        if not is_digits(raw) or not least <= int(raw) <= most:
            code = "NUMBER_TYPE_MAX" if is_digits(raw) and int(raw) > most else "NUMBER_TYPE_MIN"
            raise invalid_form((name,), code, f"int value should be between {least} and {most}.")
        return int(raw)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is not a refusal; `body` None with status 204."""

    body: object = None
    status: int = 200


NO_CONTENT = Answer(None, 204)
Handler = Callable[[Ask], Answer]
