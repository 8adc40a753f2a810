#!/usr/bin/env python3
"""Name what in the schema takes its value from the machine's clock or from chance, past a simulation.

Exit status: 0 nothing; 1 a line each on stdout, or no database; 2 wrong usage.
Example: tools/with_postgres.sh -- .venv/bin/python tools/check_schema.py
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("check-schema")
