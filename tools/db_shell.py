#!/usr/bin/env python3
"""Open psql at the run's or this checkout's database.

Exit status: psql's; 1 where no database is up; 2 wrong usage.
Example: echo 'SELECT 1' | .venv/bin/python tools/db_shell.py -- --tuples-only
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("db-shell")
