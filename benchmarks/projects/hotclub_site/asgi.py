import os
from typing import Any, cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.projects.hotclub_site.settings")
django_application = cast("Any", get_asgi_application())

from hotclub.asgi import application as hotclub_application  # noqa: E402 - Django is set up first

application = hotclub_application(django_application)
