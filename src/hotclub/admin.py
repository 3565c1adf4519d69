"""Read-only pages of the durable channels. Who may see them is decided by Django's view permissions."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from hotclub.models import Entry, Stream


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Looks, and touches nothing: rows that are edited by hand would contradict what clients have seen."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


@admin.register(Stream)
class StreamAdmin(ReadOnlyAdmin):
    """Where each durable channel stands."""

    list_display = ["channel", "epoch", "top", "pruned"]
    search_fields = ["channel"]


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    """The kept publications."""

    list_display = ["stream", "offset", "created", "key"]
    list_select_related = ["stream"]
    list_filter = ["created"]
    search_fields = ["=stream__channel", "=key"]
    date_hierarchy = "created"
    show_full_result_count = False
