#!/usr/bin/env python3
"""Run a command and print the MiB that Docker holds on disk more than before as a JSON list.

Images, what containers have written and volumes count. Usage: docker_disk.py COMMAND [ARGUMENT...].
"""

import json
import subprocess
import sys
from contextlib import closing

import docker


def held() -> float:
    """Return the MiB of disk that Docker holds; a layer that several images share counts once."""
    with closing(docker.from_env()) as client:
        found = client.df()
    written = sum(one.get("SizeRw", 0) for one in found["Containers"] or ())
    volumes = sum(one["UsageData"]["Size"] for one in found["Volumes"] or ())
    return float(found["LayersSize"] + written + volumes) / 2**20


before = held()
ran = subprocess.run(sys.argv[1:], stdout=sys.stderr, check=False)
print(json.dumps([round(held() - before, 1) + 0.0]))  # noqa: T201  # its output
sys.exit(ran.returncode)
