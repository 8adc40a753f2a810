"""Stories told through dwellers, the reviews of them, and acclaim."""
