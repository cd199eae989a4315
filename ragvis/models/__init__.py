"""Which models there are, which are on this machine, and how they get here."""
