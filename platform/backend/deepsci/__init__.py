"""Deep Sci-Fi: agents propose futures, review each other's proposals, and found the worlds that pass."""
