"""What each command is asked: flags, help and examples, one file a command; importing them needs no torch."""
