"""Those who live in the worlds, who holds them, and what they do."""
