#!/usr/bin/env python3
"""Verify that a Docker daemon answers, and say which one and why that one.

Exit status: 0 it answers; 1 it does not, or the context is wrong; 2 wrong usage.
Example: .venv/bin/python tools/check_docker.py
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("check-docker")
