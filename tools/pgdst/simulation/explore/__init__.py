"""Exploring: the search for a schedule that goes wrong, made small, replayed and shown."""
