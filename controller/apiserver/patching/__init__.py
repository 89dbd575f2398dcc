"""The ways to patch an object that are not server-side apply."""
