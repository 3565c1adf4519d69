"""`python -m clubhouse <command>`: the site's manage.py."""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Run the management command of the command line, with the site's settings unless the environment names others."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clubhouse.settings")
    execute_from_command_line(["python -m clubhouse", *sys.argv[1:]])


if __name__ == "__main__":
    main()
