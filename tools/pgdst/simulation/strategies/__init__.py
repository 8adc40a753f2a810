"""Strategies: which client goes on at each choice of a schedule."""
