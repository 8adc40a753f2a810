#!/usr/bin/env python3
"""Remove what dead runs have left: containers by label, run directories, and images of the kit that nobody uses.

Exit status: 0 nothing is left; 1 something could not be removed; 2 wrong usage.
Example: .venv/bin/python tools/sweep.py
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("sweep")
