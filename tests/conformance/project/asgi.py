import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.conformance.project.settings")
django_app = get_asgi_application()

from hotclub.asgi import application as hotclub_application  # noqa: E402 - Django must be set up first

application = hotclub_application(django_app)
