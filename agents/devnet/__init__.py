"""A whole market on one machine, for trying out, for the demo and for tests."""
