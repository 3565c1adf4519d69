"""Read-only pages of the durable channels, and the page of API keys. Django's permissions decide who sees them."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hotclub.http_api.issue import issue_key
from hotclub.models import ApiKey, Entry, Stream


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


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Keys of the HTTP API. A new one is shown once, on the page after it was made."""

    list_display = ["name", "beginning", "channels", "methods", "created", "revoked"]
    fields = ["name", "channels", "methods"]
    search_fields = ["name", "beginning"]
    actions = ["revoke"]

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        key = issue_key(obj)
        text = _("The key is %(key)s. Copy it now: it is not kept, and cannot be shown again.") % {"key": key}
        self.message_user(request, text, messages.WARNING)

    @admin.action(description=_("Revoke the selected keys"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:  # noqa: ARG002
        """Have these keys open nothing any more."""
        queryset.filter(revoked=None).update(revoked=timezone.now())
