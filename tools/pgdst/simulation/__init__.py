"""What makes a run depend on its seed alone."""
