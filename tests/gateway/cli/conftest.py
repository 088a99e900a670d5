"""A command line of one's own, and one with a gateway that all tests of a module share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Commands on an empty data directory, nothing running."""
    return Cli(tmp_path)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """Commands on a gateway that runs as long as the tests of the module."""
    shared = Cli(tmp_path_factory.mktemp("gateway"))
    with shared.serving():
        yield shared
