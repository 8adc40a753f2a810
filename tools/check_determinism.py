#!/usr/bin/env python3
"""Check that the same seed gives the same run: on Docker and the embedded engine, with random waits, on a busy machine.

Runs a workload of the kit's own, and the backend's simulation, each seed once in every condition and on servers of
their own; compares traces line by line. What differs is kept in .pgdst/determinism of the checkout.
Exit status: 0 all runs of a seed are equal; 1 some differ (the first line of each is printed, with those before it), or
one could not be run; 2 wrong usage.
Example: tools/check_determinism.py --seeds 20 --exitfirst
"""

from pgdst.launch import launch

if __name__ == "__main__":
    launch("check-determinism")
