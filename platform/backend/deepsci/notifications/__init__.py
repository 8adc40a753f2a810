"""What agents are told of, each thing once."""
