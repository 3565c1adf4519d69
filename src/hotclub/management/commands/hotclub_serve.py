"""`manage.py hotclub_serve`: the site on uvicorn, as in production."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from hotclub.conf.config import get_config
from hotclub.management.exposure import check_exposure
from hotclub.management.serving import load_application
from hotclub.serving.lease import engine_kind
from hotclub.serving.server import CannotListen, listen, run


class Command(BaseCommand):
    """Serves pages and live connections until SIGINT or SIGTERM."""

    help = "Serves the site, pages and live connections alike, with uvicorn."
    requires_migrations_checks = True

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument("--host", default="127.0.0.1", help=_("address to listen on (default: %(default)s)"))
        parser.add_argument("--port", type=int, default=8000, help=_("port to listen on (default: %(default)s)"))
        parser.add_argument("--workers", type=int, default=1, help=_("processes; the memory engine has exactly one"))
        parser.add_argument(
            "--log-level",
            default="warning",
            choices=("critical", "error", "warning", "info", "debug"),
            help=_("what the server reports of itself (default: %(default)s)"),
        )
        parser.add_argument(
            "--allow-insecure",
            action="store_true",
            help=_("serve other machines although DEBUG is on, SECRET_KEY is weak, or HOTCLUB['INSECURE'] is set"),
        )
        parser.add_argument("--access-log", action="store_true", help=_("report every HTTP request"))

    def handle(self, *args: Any, **options: Any) -> None:
        """See `BaseCommand.handle`.

        Raises:
            CommandError: there is more than one worker, the application cannot be imported, the address is taken, or
                other machines could reach a project that is not fit for that.
        """
        config = get_config()
        if options["workers"] != 1:
            raise CommandError(
                _("%(engine)s lives in one process, so its channels would not reach other workers. Run one worker.")
                % {"engine": engine_kind(config)}
            )
        application = load_application()
        try:
            listener = listen(options["host"], options["port"])
        except CannotListen as error:
            raise CommandError(
                _("%(error)s Choose another address with --host and --port.") % {"error": error}
            ) from None
        for warning in check_exposure(listener, allowed=options["allow_insecure"]):
            self.stderr.write(self.style.WARNING(warning))
        run(
            application,
            listener=listener,
            settings=config,
            log_level=options["log_level"],
            access_log=options["access_log"],
            on_ready=self._announce,
        )

    def _announce(self, url: str) -> None:
        self.stdout.write(_("Serving %(url)s — Ctrl-C stops it.") % {"url": url})
        self.stdout.flush()
