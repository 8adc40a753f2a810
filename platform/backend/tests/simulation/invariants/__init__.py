"""What must hold after every step, read from the database and compared with the mirror, one module a domain."""
