"""Which status each object should show."""
