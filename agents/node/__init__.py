"""A node: it serves models, takes jobs over HTTP, answers them, and is paid on chain."""
