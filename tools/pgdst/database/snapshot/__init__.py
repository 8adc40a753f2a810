"""A server that was migrated before, and whether it still is what the migrations would make."""
