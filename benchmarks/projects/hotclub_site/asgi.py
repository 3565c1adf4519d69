"""The ASGI application of this project."""

import os

from django.core.asgi import get_asgi_application

import hotclub.asgi

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.projects.hotclub_site.settings")

application = hotclub.asgi.application(get_asgi_application())
