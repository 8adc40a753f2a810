#!/usr/bin/env python3
"""Run a command and print the milliseconds that it took as a JSON list. Usage: timed.py COMMAND [ARGUMENT...]."""

import json
import subprocess
import sys
import time

begin = time.perf_counter()
ran = subprocess.run(sys.argv[1:], stdout=sys.stderr, check=False)
print(json.dumps([(time.perf_counter() - begin) * 1000]))  # noqa: T201  # its output
sys.exit(ran.returncode)
