#!/usr/bin/env python3
"""Run shards of a search, from a seed, for a time or a number, and go on after failures.

Results go into .pgdst/search/NAME of the checkout; the same command goes on where it was.
Exit status: 0 nothing was found; 1 something was found, or an `Error:` line says what is wrong; 2 wrong usage;
129, 130, 143 after SIGHUP, SIGINT, SIGTERM.
Example: .venv/bin/python tools/search.py --seed 7 --shards 0-63 --share 1/2
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("search")
