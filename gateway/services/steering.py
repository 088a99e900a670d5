"""Which running runs were told something meanwhile: a hint that spares every other step a look into the store."""

from collections.abc import Sequence

from storage.run_values import RunSteered


class Steering:
    """Run ids, by the store's commit hook. What was said before this process drove a run is not known here."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def on_commit(self, signals: Sequence[object]) -> None:
        """The store's commit hook."""
        for signal in signals:
            if isinstance(signal, RunSteered):
                self._told.add(signal.run_id)

    def take(self, run_id: str) -> bool:
        """Whether there may be something since the last time."""
        if run_id not in self._told:
            return False
        self._told.remove(run_id)
        return True
