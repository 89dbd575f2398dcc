"""Structural schemas, of custom resources and of built-in kinds: what a field is, and what may be in it."""
