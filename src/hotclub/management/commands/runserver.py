"""`manage.py runserver`: Django's development server with live connections.

Arguments, checks, banner, autoreload and static files are Django's own. An ASGI server runs the project's ASGI
application.
"""

import os
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.contrib.staticfiles.management.commands import runserver
from django.db import connections
from django.utils import autoreload

from hotclub.conf.config import get_config
from hotclub.management.exposure import check_exposure, is_loopback
from hotclub.management.serving import load_application
from hotclub.serving.server import CannotListen, listen, run


class Command(runserver.Command):
    """Runs the project's ASGI application with autoreload and static files."""

    help = "Starts a development server for pages, live connections and static files."

    addr: str
    port: str

    def get_handler(self, *args: Any, **options: Any) -> Any:
        """Return the ASGI application. It serves static files where Django's own command would serve them."""
        handler: Any = load_application()
        serves_static = options["use_static_handler"] and apps.is_installed("django.contrib.staticfiles")
        if serves_static and (settings.DEBUG or options["insecure_serving"]):
            return ASGIStaticFilesHandler(handler)
        return handler

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Check the project and serve it until the process is stopped. Runs in the thread of the autoreloader, unless
        `--noreload` is given."""
        # The autoreloader has stored an exception from loading the project, and this call raises it.
        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        for connection in connections.all(initialized_only=True):
            connection.close()
        try:
            listener = listen(self.addr, int(self.port))
        except CannotListen as error:
            self.stderr.write(f"Error: {error}")
            # sys.exit() would end this thread only, and the autoreloader would wait for a change of the code.
            os._exit(1)
        if not is_loopback(listener.getsockname()[0]):
            # A development server on a network is for trials, as Django's own: a warning is enough.
            for warning in check_exposure(listener, allowed=True):
                self.stderr.write(self.style.WARNING(warning))
        run(
            self.get_handler(*args, **options),
            listener=listener,
            settings=get_config(),
            log_level="warning",
            access_log=True,
            loop="asyncio",
            on_ready=lambda _url: self.on_bind(listener.getsockname()[1]),
        )
