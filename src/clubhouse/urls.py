"""The site's addresses. Hotclub answers `/connection/…` before Django does: see `clubhouse.asgi`."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from clubhouse.accounts.views import LanguageView

urlpatterns = [
    path("", include("clubhouse.ui.urls")),
    path("accounts/", include("clubhouse.accounts.urls")),
    path("i18n/setlang/", LanguageView.as_view(), name="set_language"),
    path("chat/", include("clubhouse.chat.urls")),
    # The admin site's own form would take the old password without the limits of the site's.
    path("admin/password_change/", RedirectView.as_view(pattern_name="accounts:settings")),
    path("admin/", admin.site.urls),
]

handler400 = "clubhouse.ui.errors.bad_request"
handler403 = "clubhouse.ui.errors.forbidden"
handler404 = "clubhouse.ui.errors.not_found"
handler500 = "clubhouse.ui.errors.server_error"
