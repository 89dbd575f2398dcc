"""What to apply to a cluster so that Trellis runs in it: typed objects in, YAML out. Pure."""
