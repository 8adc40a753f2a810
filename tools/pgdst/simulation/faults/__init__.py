"""Faults: their kinds, and plans that say which fault hits which step."""
