"""An agent's side of the chain: keys, connection, contracts, the journal, what is sent and what is followed."""
