"""Rooms, their members and their messages."""

from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from clubhouse.chat import names
from clubhouse.chat.names import ClaimedRoomName

__all__ = ["ClaimedRoomName", "Membership", "Message", "Room"]


class Room(models.Model):
    """A room, which everybody with an account may join."""

    name = models.CharField(_("name"), max_length=60, unique=True)
    topic = models.CharField(_("topic"), max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("created by")
    )
    created = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        """The names in the admin site."""

        verbose_name = _("room")
        verbose_name_plural = _("rooms")

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **options: Any) -> None:
        """Store the room, and claim its name, if it was changed.

        Raises:
            RoomNameTaken: the name of another room looks like this one.
        """
        fields = options.get("update_fields")
        if (fields is not None and "name" not in fields) or not self._has_new_name():
            super().save(*args, **options)
            return
        with transaction.atomic():
            super().save(*args, **options)
            names.claim_name(self)

    def clean(self) -> None:
        """Check the name, if it was changed.

        Raises:
            RoomNameTaken: the name of another room looks like this one.
        """
        super().clean()
        if self._has_new_name():
            names.check_name(self)

    def _has_new_name(self) -> bool:
        """Whether the name differs from the stored one. Rooms that look alike from earlier on keep their names."""
        return not Room.objects.filter(pk=self.pk, name=self.name).exists()

    @property
    def channel(self) -> str:
        """The name of the channel with the room's messages and members."""
        return f"chat:{self.pk}"

    @property
    def typing_channel(self) -> str:
        """The name of the channel that tells who is typing."""
        return f"chat-typing:{self.pk}"


class Membership(models.Model):
    """A user's membership in a room. `last_read` is the offset up to which the user has read."""

    room = models.ForeignKey(Room, models.CASCADE, related_name="memberships", verbose_name=_("room"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships", verbose_name=_("user")
    )
    last_read = models.PositiveBigIntegerField(_("read up to"), default=0)
    joined = models.DateTimeField(_("joined"), default=timezone.now, editable=False)

    class Meta:
        """A user is in a room at most once."""

        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [models.UniqueConstraint(fields=["room", "user"], name="chat_member_once")]

    def __str__(self) -> str:
        return f"{self.user} – {self.room}"


class Message(models.Model):
    """A message in a room.

    `offset` is the offset of the message's publication in the room's channel, and orders the room's messages.
    `client_id` is the id that the author's browser made. `html` was rendered from `text` when the message was stored.
    """

    room = models.ForeignKey(Room, models.CASCADE, related_name="messages", verbose_name=_("room"))
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="messages", verbose_name=_("author")
    )
    client_id = models.UUIDField(_("client's id"))
    text = models.TextField(_("text"))
    html = models.TextField(_("HTML"))
    offset = models.PositiveBigIntegerField(_("offset"), default=0)
    created = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        """The database refuses a second message with the same client id, which a repeated request would make."""

        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [models.UniqueConstraint(fields=["author", "client_id"], name="chat_message_once")]
        indexes = [
            models.Index(fields=["room", "offset"], name="chat_message_order"),
            models.Index(fields=["room", "author", "created"], name="chat_message_rate"),
        ]

    def __str__(self) -> str:
        return self.text[:60]
