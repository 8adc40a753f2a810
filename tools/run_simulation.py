#!/usr/bin/env python3
"""Run the backend's simulation with pytest, on the run's server or on a leased one that pytest starts itself.

Exit status: pytest's (0 passed, 1 failed, 2 interrupted, 4 wrong usage, 5 no tests); 1 for a wrong path.
Example: .venv/bin/python tools/run_simulation.py --seed 7 -- -k machine
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("run-simulation")
