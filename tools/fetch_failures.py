#!/usr/bin/env python3
"""Put downloaded failures of searches into .pgdst/failures, where the next `make test-dst` tries them first.

Exit status: 0; 1 with an `Error:` line, if there is none in the folder, or the folder cannot be read; 2 wrong usage.
Example: .venv/bin/python tools/fetch_failures.py --from downloaded
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("fetch-failures")
