"""What commands have in common: flags, exit codes, and progress for people."""
