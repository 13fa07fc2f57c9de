"""An agent's side of the chain: keys, connection, contracts, the journal, what is sent, what is followed."""
