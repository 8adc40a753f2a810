#!/usr/bin/env python3
"""Print the URL of the run's database, or of this checkout's that `db_up.py` started.

Exit status: 0 printed; 1 none is up; 2 wrong usage.
Example: .venv/bin/python tools/db_url.py
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("db-url")
