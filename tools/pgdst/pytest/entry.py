"""What pytest finds where the kit is installed: it takes the kit's plugin in where that is wanted, and nothing else.

Any other project's tests in the same environment are run as ever.
"""

import os
from pathlib import Path
from typing import Final

import pytest

PLUGIN: Final = "pgdst.pytest.plugin"  # the name that a conftest.py may name it by, so that it is there once


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Take it in for a project with [tool.pgdst], and in a run with a database around it."""
    if _is_wanted(early_config):
        early_config.pluginmanager.import_plugin(PLUGIN)


def _is_wanted(config: pytest.Config) -> bool:
    if os.environ.get("PGDST_RUN_ID"):
        return True
    from pgdst.project import has_table

    return has_table(Path.cwd()) or has_table(config.rootpath)
