"""The chat app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChatConfig(AppConfig):
    """Rooms where people talk."""

    name = "clubhouse.chat"
    verbose_name = _("Chat")
