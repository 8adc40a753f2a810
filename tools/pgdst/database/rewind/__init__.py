"""Rewinding a database to its contents before an example."""
