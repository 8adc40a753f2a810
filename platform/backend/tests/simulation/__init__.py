"""The simulation of Deep Sci-Fi: every rule of the platform, obeyed and broken, against a model that predicts."""
