#!/usr/bin/env python3
"""Bring the run's or this checkout's database to head, and compare it with the models.

Exit status: 0 at head, no drift; 1 a migration failed, several heads, drift, or not our server; 2 wrong usage.
Example: .venv/bin/python tools/migrate.py --backend ../shop
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("migrate")
