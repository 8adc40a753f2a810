"""Agents: registering, keys, being heard of."""
