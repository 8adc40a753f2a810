"""The plugin of pytest: fixtures, a run's shards, what is shown of a run and what is kept of it."""
