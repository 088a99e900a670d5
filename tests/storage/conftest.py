"""A store of its own for each test, with a check that no SQL runs on the event loop's thread."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from store_stage import Scene, open_scene

from storage.engine import Reader, Transaction


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A data directory that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as it is when it was just made; copying it saves making one for each test."""

    async def make(directory: Path) -> None:
        async with open_scene(directory):
            pass

    directory = tmp_path_factory.mktemp("stores") / "empty"
    asyncio.run(make(directory))
    return directory


@pytest.fixture
async def scene(directory: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    shutil.copytree(empty_store, directory)
    async with open_scene(directory) as opened:
        for owner, name in ((Reader, "one"), (Reader, "all"), (Reader, "value"), (Transaction, "run")):
            monkeypatch.setattr(owner, name, _off_the_loop(getattr(owner, name), threading.get_ident()))
        yield opened


def _off_the_loop(statement: Callable[..., Any], loop_thread: int) -> Callable[..., Any]:
    def checked(*args: Any, **values: Any) -> Any:
        assert threading.get_ident() != loop_thread, "SQL on the event loop's thread"
        return statement(*args, **values)

    return checked
