"""Simulations within Hypothesis: drawn from the seed alone, several clients in a state machine."""
