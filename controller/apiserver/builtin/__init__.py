"""The built-in kinds: one row each, with what is particular about them."""
