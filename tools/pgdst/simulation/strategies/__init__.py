"""Strategies: who goes on at each choice of a schedule."""
