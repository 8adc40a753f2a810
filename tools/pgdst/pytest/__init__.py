"""The pytest plugin: fixtures, the shards of a run, reports and kept failures."""
