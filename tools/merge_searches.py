#!/usr/bin/env python3
"""Put the folders of one search together: one report of all, as a page and as JSON.

Exit status: 0 nothing was found; 1 failures were found, or an `Error:` line says what is wrong; 2 wrong usage;
3 a shard has another hash in one folder than in another; 4 shards are missing (not with --partial). Of several, 3 comes
first, then 1.
Example: .venv/bin/python tools/merge_searches.py first second --to merged
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("merge-searches")
