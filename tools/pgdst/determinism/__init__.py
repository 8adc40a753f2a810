"""Whether the same seed gives the same run."""
