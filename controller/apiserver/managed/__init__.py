"""Who owns which field of an object: the bookkeeping behind `metadata.managedFields` and server-side apply."""
