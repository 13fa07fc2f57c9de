"""What every party must compute alike: messages, hashes, boxes, prices, names. Pure: no I/O here."""
