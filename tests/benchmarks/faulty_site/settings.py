"""The benchmark's project, with a channel that has a fault."""

from benchmarks.projects.common import DJANGO_APPS
from benchmarks.projects.hotclub_site.settings import *  # noqa: F403

INSTALLED_APPS = [*DJANGO_APPS, "hotclub", "tests.benchmarks.faulty_site"]
