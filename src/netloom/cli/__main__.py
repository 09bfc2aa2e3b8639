"""``python -m netloom.cli``."""

from netloom.cli import main

main()
