"""What must come about after a bounded number of honest moves, asked at the end of an example, one module a domain."""
