"""The simulation: clients, schedules and faults that depend on the seed alone."""
