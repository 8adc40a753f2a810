"""The smallest simulation with pgdst."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from trivial_machine import look_once

pytest_plugins = ["pgdst.pytest.plugin"]


def test_nobody_is_there_yet(database: str) -> None:
    """A migrated database is empty."""
    look_once(database)
