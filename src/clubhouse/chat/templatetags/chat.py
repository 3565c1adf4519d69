"""Filters and tags of the server-rendered room page."""

from datetime import datetime
from uuid import uuid4

from django import template
from django.utils.safestring import SafeString

from clubhouse.chat.data import MessageData

register = template.Library()


@register.filter
def sanitised(message: MessageData) -> SafeString:
    """Mark the message's HTML as safe: only `clubhouse.chat.markup.render` makes it."""
    return SafeString(message["html"])


@register.filter
def moment(timestamp: str) -> datetime:
    """Turn a message's time into a datetime for Django's `date` filter."""
    return datetime.fromisoformat(timestamp)


@register.simple_tag
def new_id() -> str:
    """Return an id for the form's message: a form that is sent twice posts one message."""
    return str(uuid4())
