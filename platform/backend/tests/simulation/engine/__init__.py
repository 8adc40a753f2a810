"""What all domains stand on: the platform of one example, checks, races and fault runs, planting."""
