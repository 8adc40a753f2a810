"""The entry point that pytest finds if the kit is installed. It loads the kit's plugin for projects that use the kit.

Tests of other projects in the same environment are not affected.
"""

import os
from pathlib import Path
from typing import Final

import pytest

PLUGIN: Final = "pgdst.pytest.plugin"  # the same name as in a conftest.py, so that it is loaded once


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Load the plugin for a project with [tool.pgdst], and if the run has a database already."""
    if _is_wanted(early_config):
        early_config.pluginmanager.import_plugin(PLUGIN)


def _is_wanted(config: pytest.Config) -> bool:
    if os.environ.get("PGDST_RUN_ID"):
        return True
    from pgdst.project import has_table

    return has_table(Path.cwd()) or has_table(config.rootpath)
