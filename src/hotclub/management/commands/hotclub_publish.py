"""`manage.py hotclub_publish`: a publication from the command line, a cron job or a shell script."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from hotclub.actions.publish import publish
from hotclub.channels.registry import UnknownChannel
from hotclub.conf.config import get_config
from hotclub.engine import errors
from hotclub.engine.protocol.payload import check_payload
from hotclub.runtime.encoding import NotUtf8, utf8
from hotclub.runtime.tables import NotMigrated


class Command(BaseCommand):
    """Publishes one message and prints its position."""

    help = "Publishes a message to a channel of the running site."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument("channel", help=_("name of the channel, such as chat:42"))
        parser.add_argument("json", help=_("the message as JSON; - reads it from standard input"))
        parser.add_argument("--key", default="", help=_("idempotency key: repeating the command publishes once"))

    def handle(self, *args: Any, **options: Any) -> None:
        """See `BaseCommand.handle`.

        Raises:
            CommandError: the channel or the payload is refused, the payload is not UTF-8, the key was used for other
                data, or a table is missing.
        """
        text = sys.stdin.buffer.read() if options["json"] == "-" else options["json"].encode(errors="surrogateescape")
        channel = options["channel"]
        try:
            payload = check_payload(utf8(text).strip(), get_config().limits)
            position = publish(channel, payload, idempotency_key=options["key"])
        except errors.Refused as error:
            reason = error.explanation if isinstance(error, UnknownChannel) else error.message
            raise CommandError(
                _("Not published to %(channel)s: %(reason)s") % {"channel": channel, "reason": reason}
            ) from None
        except (errors.IdempotencyConflict, NotMigrated, NotUtf8) as error:
            raise CommandError(str(error)) from None
        if position is None:
            self.stdout.write(_("Handed to the running site for %(channel)s.") % {"channel": channel})
        else:
            self.stdout.write(
                _("Published to %(channel)s at %(epoch)s/%(offset)d.")
                % {"channel": channel, "epoch": position.epoch, "offset": position.offset}
            )
