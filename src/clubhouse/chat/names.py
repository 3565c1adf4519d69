"""The names of rooms: no two rooms have names that look alike.

`ClaimedRoomName` has a row for each key of `lookalikes.keys_of`, so that the database refuses a second one, however
many requests come at the same time. `Room.save` claims; `bulk_create()` and `update()` write past it, as past any
`save`.
"""

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models
from django.utils.translation import gettext_lazy as _

from clubhouse.accounts.services import Claim, claim, keys_of

if TYPE_CHECKING:
    from clubhouse.chat.models import Room

_TAKEN = _("The name of another room looks too much like this one.")


class RoomNameTaken(ValidationError):
    """The name of another room looks like the name of this one."""

    def __init__(self) -> None:
        super().__init__({"name": _TAKEN})


class ClaimedRoomName(Claim):
    """A key of a name, and the room that has the name."""

    room = models.ForeignKey("chat.Room", models.CASCADE, related_name="claimed_names", verbose_name=_("room"))

    class Meta:
        """The names in messages."""

        app_label = "chat"
        verbose_name = _("claimed room name")
        verbose_name_plural = _("claimed room names")


def check_name(room: "Room") -> None:
    """Check a name that a room is about to get. The database's own rule refuses exactly the same name.

    Raises:
        RoomNameTaken: the name of another room looks like this one.
    """
    claims = ClaimedRoomName.objects.filter(key__in=keys_of(room.name)).exclude(room=room.pk)
    if claims.exclude(room__name=room.name).exists():
        raise RoomNameTaken


def claim_name(room: "Room") -> None:
    """Store that the room has its name, and no more an earlier one, in the transaction that stores the room.

    Raises:
        RoomNameTaken: the name of another room looks like this one.
    """
    try:
        claim(ClaimedRoomName, [room.name], room=room)
    except IntegrityError:
        raise RoomNameTaken from None
