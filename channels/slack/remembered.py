"""A bounded memory: what saves a call when it is still there, and costs one when it is not."""

from collections import OrderedDict
from typing import Generic, TypeVar

from channels.slack.capabilities import REMEMBERED_MAX

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Remembered(Generic[_Key, _Value]):
    """The newest `most` entries."""

    def __init__(self, most: int = REMEMBERED_MAX) -> None:
        self._most = most
        self._entries: OrderedDict[_Key, _Value] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def get(self, key: _Key) -> _Value | None:
        """What was remembered, if it still is."""
        return self._entries.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        """Remember it as the newest."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def forget(self, key: _Key) -> None:
        """Forgetting what is not there is nothing."""
        self._entries.pop(key, None)
