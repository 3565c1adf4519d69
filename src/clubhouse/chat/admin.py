"""Rooms, members and messages in the admin."""

from django.contrib import admin

from clubhouse.chat.models import Membership, Message, Room


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Rooms."""

    list_display = ("name", "topic", "created_by", "created")
    search_fields = ("name", "topic")
    raw_id_fields = ("created_by",)


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Who is in which room: for looking only, because joining and leaving tell the room's pages."""

    list_display = ("room", "user", "joined", "last_read")
    list_select_related = ("room", "user")
    search_fields = ("room__name", "user__username")

    def has_add_permission(self, _request: object) -> bool:
        """Nobody: see the class."""
        return False


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """What was said: to be read and, by moderators, deleted. Open pages show a deleted message until they reload, and
    never a changed one, so there is no changing."""

    list_display = ("created", "room", "author", "text")
    list_select_related = ("room", "author")
    search_fields = ("text", "author__username")

    def has_add_permission(self, _request: object) -> bool:
        """Nobody: see the class."""
        return False

    def has_change_permission(self, _request: object, _message: object = None) -> bool:
        """Nobody: see the class."""
        return False
