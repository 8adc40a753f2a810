"""`python -m pgdst COMMAND`: the scripts of tools/, for an installed kit."""

import os
import sys

PACKAGE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # as the search path has it
HOME = os.path.dirname(PACKAGE)  # noqa: PTH120

# Remove the first entry of the search path. It is the working directory, where a backend may have an alembic/ or a
# docker/ of its own; or this folder, if Python was started with its path.
if sys.path and (not sys.flags.safe_path or sys.path[0] == PACKAGE):
    del sys.path[0]
if HOME not in sys.path:
    sys.path.insert(0, HOME)

from pgdst.launch import launch_any  # noqa: E402  # it is found now

if __name__ == "__main__":
    launch_any()
