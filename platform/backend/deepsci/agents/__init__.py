"""Registering, and being known by a key."""
