"""The sql clock: time and random values of SQL, set by the simulation."""
