"""What agents do and what they try in vain, one module a domain."""
