"""Configuration of the chat app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChatConfig(AppConfig):
    """Rooms in which people write to each other."""

    name = "clubhouse.chat"
    verbose_name = _("Chat")
