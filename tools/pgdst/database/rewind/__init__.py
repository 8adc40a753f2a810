"""A database as it was, for the next example."""
