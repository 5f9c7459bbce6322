"""``python -m audit.cli`` is ``m2ib-audit``."""

from audit.cli.app import main

main()
