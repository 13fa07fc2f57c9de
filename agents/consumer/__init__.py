"""The consumer: finds a node, pays into escrow, checks the answer, and approves it or says why not."""
