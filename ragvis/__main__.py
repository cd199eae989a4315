"""``python -m ragvis``."""

from ragvis.cli import main

main()
