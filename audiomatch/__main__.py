"""`python -m audiomatch`: the command line."""

from audiomatch.cli import main

main()
