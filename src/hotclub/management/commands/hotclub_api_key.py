"""`manage.py hotclub_api_key`: makes, lists and revokes keys of the HTTP API."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from hotclub.http_api.endpoint import NAMES
from hotclub.http_api.issue import new_key, revoke_key
from hotclub.models import ApiKey


class Command(BaseCommand):
    """Makes, lists and revokes API keys in the database."""

    help = "Makes, lists and revokes keys of the HTTP API."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help=_("make a key and print it, this once"))
        create.add_argument("name", help=_("what to call it"))
        create.add_argument("--channel", action="append", default=[], help=_("a pattern such as chat:*; repeatable"))
        create.add_argument("--method", action="append", default=[], help=_("a method such as publish; repeatable"))
        actions.add_parser("list", help=_("show which keys there are"))
        revoke = actions.add_parser("revoke", help=_("have a key open nothing any more"))
        revoke.add_argument("name", help=_("the name of the key"))

    def handle(self, *args: Any, **options: Any) -> None:
        """See `BaseCommand.handle`.

        Raises:
            CommandError: the name is taken or unknown, or a method does not exist.
        """
        actions = {"create": self._create, "list": self._list, "revoke": self._revoke}
        actions[options["action"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        unknown = sorted(set(options["method"]) - NAMES)
        if unknown:
            raise CommandError(_("There is no method %(name)s.") % {"name": unknown[0]})
        if ApiKey.objects.filter(name=options["name"]).exists():
            raise CommandError(_("There is a key %(name)s already.") % {"name": options["name"]})
        self.stdout.write(new_key(options["name"], channels=options["channel"], methods=options["method"]))

    def _list(self, options: dict[str, Any]) -> None:
        for key in ApiKey.objects.all():
            what = _("revoked") if key.revoked else " ".join([*key.channels, *key.methods]) or _("everything")
            self.stdout.write(f"{key.beginning}…  {key.name}  {what}")

    def _revoke(self, options: dict[str, Any]) -> None:
        if not revoke_key(options["name"]):
            raise CommandError(_("There is no key %(name)s that could be revoked.") % {"name": options["name"]})
        self.stdout.write(_("Revoked %(name)s.") % {"name": options["name"]})
