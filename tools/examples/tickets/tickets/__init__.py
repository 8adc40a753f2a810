"""Seats of a concert that are sold, each once."""
