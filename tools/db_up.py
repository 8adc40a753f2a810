#!/usr/bin/env python3
"""Start a throw-away Postgres 16: this checkout's, migrated, until its time is over; or a run's (--run-dir).

Exit status: 0 it is up; 1 it could not be started or migrated, and nothing is left; 2 wrong usage.
Example: .venv/bin/python tools/db_up.py --ttl-hours 2
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("db-up")
