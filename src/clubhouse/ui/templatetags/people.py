"""How a person is drawn."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

_HUES = 12


@register.simple_tag
def avatar(user_id: int | str, name: str) -> SafeString:
    """A coloured disc with the first letter of the name; the colour is the same for one person everywhere."""
    return format_html(
        '<span class="avatar" data-hue="{}" aria-hidden="true">{}</span>', int(user_id) % _HUES, name[:1].upper()
    )
