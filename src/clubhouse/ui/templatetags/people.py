"""The template tag for a person's avatar."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

_HUES = 12


@register.simple_tag
def avatar(user_id: int | str, name: str) -> SafeString:
    """Return the first letter of the name on a disc, whose colour depends on the id. Screen readers skip it."""
    return format_html(
        '<span class="avatar" data-hue="{}" aria-hidden="true">{}</span>', int(user_id) % _HUES, name[:1].upper()
    )
