"""Generated from `protos/`; see there."""
