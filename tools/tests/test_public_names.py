"""The names that tests use are in `pgdst`, and what is there to be read uses no others."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pgdst
from conftest import KIT

DOCUMENTS = ("README.md", "tools/*.md", "tools/**/*.md", "tools/examples", ".github")
FROM_PGDST = re.compile(r"^\s*from (pgdst[\w.]*) import (\([^)]*\)|[^\n#]*)", re.MULTILINE)


def written_for_type_checkers() -> dict[str, str]:
    """Return the names that `pgdst` imports for type checkers, each with its module."""
    tree = ast.parse(Path(pgdst.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    return {
        alias.name: str(node.module).removeprefix("pgdst.")
        for node in imports
        if str(node.module).startswith("pgdst.")
        for alias in node.names
    }


def test_each_name_is_there_for_python_and_for_type_checkers() -> None:
    assert pgdst._MODULES == written_for_type_checkers()
    for name in pgdst.__all__:
        assert getattr(pgdst, name) is not None
    assert not hasattr(pgdst, "nothing_such")


def test_what_is_there_to_be_read_uses_no_others() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *DOCUMENTS]
    listed = subprocess.run(command, cwd=KIT, capture_output=True, text=True, check=True).stdout.split()
    files = [KIT / name for name in listed if name.endswith((".md", ".py", ".yml")) and (KIT / name).exists()]
    found = [(file, *match) for file in files for match in FROM_PGDST.findall(file.read_text())]
    assert len(found) > 5
    for file, module, names in found:
        assert "pgdst" == module, file
        assert set(re.findall(r"\w+", names)) <= set(pgdst.__all__), file


def test_the_package_alone_imports_nothing_that_takes_long() -> None:
    program = "import sys, pgdst; print(*{'sqlalchemy', 'psycopg', 'hypothesis', 'docker'} & set(sys.modules))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=KIT / "tools", capture_output=True, text=True, check=True)
    assert "\n" == done.stdout
