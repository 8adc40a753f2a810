"""The time and the chance of SQL, as the simulation says."""
