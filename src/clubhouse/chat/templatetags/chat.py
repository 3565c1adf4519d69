"""What the room page needs to show messages without scripts."""

from datetime import datetime
from uuid import uuid4

from django import template
from django.utils.safestring import SafeString

from clubhouse.chat.data import MessageData

register = template.Library()


@register.filter
def sanitised(message: MessageData) -> SafeString:
    """The message's HTML, which was made by `clubhouse.chat.markup.render` and by nothing else."""
    return SafeString(message["html"])


@register.filter
def moment(timestamp: str) -> datetime:
    """A message's time, for Django's `date` filter."""
    return datetime.fromisoformat(timestamp)


@register.simple_tag
def new_id() -> str:
    """An id for the next message: sending the same form twice says it once."""
    return str(uuid4())
