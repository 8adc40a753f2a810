"""The worlds that passed."""
