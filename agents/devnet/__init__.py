"""A whole market on one machine: chain, deployment, model, nodes. For trying out, for the demo and for tests."""
