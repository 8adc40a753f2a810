"""What happened before an example begins."""
