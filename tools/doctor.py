#!/usr/bin/env python3
"""Say whether this machine can run the kit: a line a check, `ok` or `problem` with what to do.

Exit status: 0 no problem; 1 at least one; 2 wrong usage.
Example: .venv/bin/python tools/doctor.py
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("doctor")
