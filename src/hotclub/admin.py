"""The admin's read-only pages of durable channels, and its page of API keys."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hotclub.http_api.issue import issue_key
from hotclub.models import ApiKey, Entry, Stream


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Shows rows to users with the view permission. Nobody may change the rows, which clients have seen."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Return False for every user."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Return False for every user."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Return False for every user."""
        return False


@admin.register(Stream)
class StreamAdmin(ReadOnlyAdmin):
    """The streams: each durable channel with its position."""

    list_display = ["channel", "epoch", "top", "pruned"]
    search_fields = ["channel"]


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    """The publications of durable channels that are not pruned."""

    list_display = ["stream", "offset", "created", "key"]
    list_select_related = ["stream"]
    list_filter = ["created"]
    search_fields = ["=stream__channel", "=key"]
    date_hierarchy = "created"
    show_full_result_count = False


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """The keys of the HTTP API. The page after the form shows a new key once."""

    list_display = ["name", "beginning", "channels", "methods", "created", "revoked"]
    fields = ["name", "channels", "methods"]
    search_fields = ["name", "beginning"]
    actions = ["revoke"]

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Save a key. A new row gets its key, which a message shows."""
        if change:
            super().save_model(request, obj, form, change)
            return
        key = issue_key(obj)
        text = _("The key is %(key)s. Copy it now: it is not kept, and cannot be shown again.") % {"key": key}
        self.message_user(request, text, messages.WARNING)

    @admin.action(description=_("Revoke the selected keys"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:  # noqa: ARG002
        """Revoke the selected keys: the API refuses them from now on."""
        queryset.filter(revoked=None).update(revoked=timezone.now())
