"""``python -m glimpse.cli``."""

from glimpse.cli.main import main

main(prog_name="glimpse")
