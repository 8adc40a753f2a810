"""A search: shards of many runs, taken by any number of processes and machines, and put together again."""
