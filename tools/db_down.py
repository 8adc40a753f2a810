#!/usr/bin/env python3
"""Remove this checkout's databases, or what a run has (--run-dir).

Exit status: 0 nothing is left, also where nothing was there; 1 the removal failed; 2 wrong usage.
Example: .venv/bin/python tools/db_down.py
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("db-down")
