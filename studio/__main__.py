"""`python -m studio`."""

from studio.cli.main import main

main()
