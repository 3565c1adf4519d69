"""Rooms, members and messages in the admin site."""

from django.contrib import admin
from django.db.models import QuerySet

from clubhouse.chat import services
from clubhouse.chat.models import Membership, Message, Room


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Shows and changes rooms."""

    list_display = ("name", "topic", "created_by", "created")
    search_fields = ("name", "topic")
    raw_id_fields = ("created_by",)

    def delete_model(self, _request: object, room: Room) -> None:
        """Delete the room, and tell its open pages."""
        services.delete_room(room)

    def delete_queryset(self, _request: object, rooms: "QuerySet[Room]") -> None:
        """Delete the rooms, and tell their open pages."""
        for room in rooms:
            services.delete_room(room)


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Shows who is in which room. Members are added by `services.join_room` only, which tells the room's open pages.
    Whose membership is deleted here has left the room, and reads nothing more in it."""

    list_display = ("room", "user", "joined", "last_read")
    list_select_related = ("room", "user")
    search_fields = ("room__name", "user__username")

    def delete_model(self, _request: object, membership: Membership) -> None:
        """Have the member leave the room."""
        services.leave_room(membership.user, membership.room)

    def delete_queryset(self, _request: object, memberships: "QuerySet[Membership]") -> None:
        """Have the members leave their rooms."""
        for membership in memberships.select_related("room", "user"):
            services.leave_room(membership.user, membership.room)

    def has_add_permission(self, _request: object) -> bool:
        """Return False: see the class."""
        return False


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Shows messages and deletes them. An open page shows a deleted message until it reloads.

    Messages cannot be added or changed here, because open pages would not show that.
    """

    list_display = ("created", "room", "author", "text")
    list_select_related = ("room", "author")
    search_fields = ("text", "author__username")

    def has_add_permission(self, _request: object) -> bool:
        """Return False: see the class."""
        return False

    def has_change_permission(self, _request: object, _message: object = None) -> bool:
        """Return False: see the class."""
        return False
