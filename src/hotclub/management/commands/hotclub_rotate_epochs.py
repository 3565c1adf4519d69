"""`manage.py hotclub_rotate_epochs`: after a restore of the database, has every client load what it shows anew."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from hotclub.durable.ledger import rotate_now
from hotclub.runtime.tables import NotMigrated


class Command(BaseCommand):
    """Gives the logs of all durable channels new epochs, so that no client recovers from a position of before."""

    help = "Gives all durable channels new epochs. Run it after a restore of the database, before the site starts."

    def handle(self, *args: Any, **options: Any) -> None:
        """See `BaseCommand.handle`.

        Raises:
            CommandError: the tables are missing.
        """
        try:
            rotate_now()
        except NotMigrated as error:
            raise CommandError(str(error)) from None
        self.stdout.write(_("All durable channels have new epochs. Their clients load what they show anew."))
