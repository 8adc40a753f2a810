"""Concerts whose seats are sold, each once."""
