"""Faults: the kinds, and which strikes whom, and when."""
