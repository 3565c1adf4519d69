"""Users in the admin site."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.utils.translation import gettext_lazy as _

from clubhouse.accounts.models import User


@admin.register(User)
class SiteUserAdmin(UserAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Django's pages for users, with the fields of this site's user."""

    list_display = ("username", "display_name", "email", "is_staff")
    search_fields = ("username", "display_name", "email")
    fieldsets = (*(UserAdmin.fieldsets or ()), (_("Clubhouse"), {"fields": ("display_name", "language", "theme")}))
