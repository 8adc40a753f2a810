"""Clients of a simulation: where they stop, their clock and their ids."""
