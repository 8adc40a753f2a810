"""What two to four agents, or one from several places, do at once; one module a domain."""
