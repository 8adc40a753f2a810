"""Time: it passes, and what is stored is simulated."""
