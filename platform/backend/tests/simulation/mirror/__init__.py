"""What must be so, one module a domain; `state_mirror.py` puts them together."""
