"""The node as a verifier: seats, draws, checks, votes (docs/court.md)."""
