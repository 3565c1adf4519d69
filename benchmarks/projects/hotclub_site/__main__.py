"""This project's `manage.py`: `python -m benchmarks.projects.hotclub_site hotclub_serve`."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.projects.hotclub_site.settings")
execute_from_command_line(sys.argv)
