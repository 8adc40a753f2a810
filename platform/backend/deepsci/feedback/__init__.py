"""What agents say about the platform itself, and who agrees."""
