"""The tables of durable channels, orders, tickets, revoked logins, API keys and nodes.

An `Entry` is both the outbox row and the history row of a publication. The publisher's transaction writes it, so it
commits or rolls back together with the publisher's other rows.

Payloads are stored as JSON *text* and not in a JSON column, because a payload has to come back byte for byte.
PostgreSQL's jsonb reorders keys, rewrites numbers and refuses an escaped NUL.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hotclub.conf.values import API_METHODS, is_list_of_text


class Stream(models.Model):
    """The log of one durable channel. The row outlives its entries by a day, see `durable/prune.py`."""

    id = models.BigAutoField(primary_key=True)
    channel = models.CharField(_("channel"), max_length=255, unique=True)
    epoch = models.CharField(_("epoch"), max_length=32)
    top = models.BigIntegerField(_("top"), default=0, help_text=_("Offset of the newest publication."))
    pruned = models.BigIntegerField(
        _("pruned"), default=0, help_text=_("Publications up to this offset have been removed.")
    )
    stamp = models.BigIntegerField(
        _("stamp"),
        db_default=0,
        help_text=_("A number that changes at random with each publication, so that it tells two logs apart."),
    )
    emptied = models.DateTimeField(
        _("emptied"), null=True, blank=True, help_text=_("When the last of the publications was removed.")
    )

    class Meta:
        verbose_name = _("stream")
        verbose_name_plural = _("streams")
        ordering = ["channel"]

    def __str__(self) -> str:
        return self.channel


class Entry(models.Model):
    """One publication. Publishers take offsets under the lock of the stream's row, so offsets have no holes."""

    id = models.BigAutoField(primary_key=True)
    stream = models.ForeignKey(
        Stream, on_delete=models.CASCADE, related_name="entries", db_index=False, verbose_name=_("stream")
    )
    offset = models.BigIntegerField(_("offset"))
    data = models.TextField(_("data"), help_text=_("The payload as JSON text, exactly as it was published."))
    key = models.CharField(_("idempotency key"), max_length=255, blank=True, default="")
    tags = models.TextField(_("tags"), blank=True, default="")
    publisher = models.TextField(_("publisher"), blank=True, default="")
    previous = models.BigIntegerField(
        _("previous stamp"), db_default=0, help_text=_("The stamp of the stream before this publication.")
    )
    stamp = models.BigIntegerField(
        _("stamp"), db_default=0, help_text=_("The stamp of the stream after this publication.")
    )
    created = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        ordering = ["stream", "offset"]
        constraints = [
            models.UniqueConstraint(fields=["stream", "offset"], name="hotclub_entry_offset"),
            models.UniqueConstraint(fields=["stream", "key"], condition=~models.Q(key=""), name="hotclub_entry_key"),
        ]
        indexes = [models.Index(fields=["stream", "created"], name="hotclub_entry_created")]

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.offset}"


class Ledger(models.Model):
    """A value that all streams share, see `durable/ledger.py`."""

    key = models.CharField(_("key"), max_length=32, primary_key=True)
    value = models.CharField(_("value"), max_length=64)

    class Meta:
        verbose_name = _("value of all streams")
        verbose_name_plural = _("values of all streams")

    def __str__(self) -> str:
        return f"{self.key}: {self.value}"


class Order(models.Model):
    """One order of a process to the others, see `orders/messages.py`. The caller's transaction inserts it.

    On PostgreSQL a row with a lower id may appear after a row with a higher id, because rows get their ids before the
    commit. So a reader finds new rows by `transaction_id`.
    """

    id = models.BigAutoField(primary_key=True)
    payload = models.TextField(_("payload"), help_text=_("The order as JSON text."))
    origin = models.CharField(
        _("origin"),
        max_length=32,
        blank=True,
        default="",
        help_text=_("The node that performs the order at the commit itself."),
    )
    transaction_id = models.BigIntegerField(
        _("transaction"), default=0, db_index=True, help_text=_("PostgreSQL's number of the inserting transaction.")
    )
    created = models.DateTimeField(_("created"), db_default=Now(), help_text=_("By the clock of the database."))

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.pk)


class Ticket(models.Model):
    """A one-time permission to connect with the login of a session. The row keeps a digest of the ticket alone."""

    id = models.BigAutoField(primary_key=True)
    digest = models.CharField(_("digest"), max_length=64, unique=True)
    session_key = models.TextField(_("session key"), blank=True, default="")
    expires = models.DateTimeField(_("expires"), db_index=True)
    used = models.BooleanField(_("used"), default=False)

    class Meta:
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")

    def __str__(self) -> str:
        return self.digest[:8]


class Revocation(models.Model):
    """A login whose tokens were revoked. The row stays until the last of the tokens has expired."""

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(_("key"), max_length=80, unique=True)
    until = models.DateTimeField(_("until"), db_index=True)

    class Meta:
        verbose_name = _("revocation")
        verbose_name_plural = _("revocations")

    def __str__(self) -> str:
        return self.key


class ApiKey(models.Model):
    """A key of the HTTP API. The row keeps a digest of the key, which is shown once, when it is made."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(_("name"), max_length=100, unique=True)
    beginning = models.CharField(_("beginning"), max_length=12, help_text=_("The first characters, to tell it by."))
    digest = models.CharField(_("digest"), max_length=64, unique=True)
    channels = models.JSONField(
        _("channels"),
        blank=True,
        default=list,
        help_text=_('Patterns of the channels it may touch, such as ["chat:*"]; empty for all.'),
    )
    methods = models.JSONField(
        _("methods"),
        blank=True,
        default=list,
        help_text=_('The methods it may call, such as ["publish", "history"]; empty for all.'),
    )
    created = models.DateTimeField(_("created"), default=timezone.now)
    revoked = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Check that channels and methods are lists of text, because the API refuses a key with anything else.

        Raises:
            ValidationError: one of them is not a list of text, or a method does not exist.
        """
        wrong = _('Write a list of text, such as ["chat:*"].')
        malformed = [name for name in ("channels", "methods") if not is_list_of_text(getattr(self, name))]
        problems: dict[str, Any] = dict.fromkeys(malformed, wrong)
        unknown = [] if "methods" in problems else [name for name in self.methods if name not in API_METHODS]
        if unknown:
            problems["methods"] = _("There is no method %(name)s.") % {"name": unknown[0]}
        if problems:
            raise ValidationError(problems)


class StreamVersion(models.Model):
    """The newest version of the publications in a durable channel, if its publishers number versions."""

    id = models.BigAutoField(primary_key=True)
    channel = models.CharField(_("channel"), max_length=255, unique=True)
    epoch = models.CharField(_("epoch"), max_length=255, blank=True, default="")
    version = models.BigIntegerField(_("version"), default=0)

    class Meta:
        verbose_name = _("stream version")
        verbose_name_plural = _("stream versions")

    def __str__(self) -> str:
        return f"{self.channel}: {self.version}"


class NodeLease(models.Model):
    """A live server process. It renews its row every few seconds, by the clock of the database."""

    id = models.BigAutoField(primary_key=True)
    node = models.CharField(_("node"), max_length=64, unique=True)
    process = models.CharField(_("process"), max_length=255)
    engine = models.CharField(_("engine"), max_length=255)
    renewed = models.DateTimeField(_("renewed"))

    class Meta:
        verbose_name = _("node lease")
        verbose_name_plural = _("node leases")

    def __str__(self) -> str:
        return self.process
