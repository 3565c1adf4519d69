"""The template tag that loads a bundle of the front end: `{% island "chat" %}`."""

from django import template
from django.conf import settings
from django.template.context import Context
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from clubhouse.ui import manifest

register = template.Library()


@register.simple_tag(takes_context=True)
def island(context: Context, name: str) -> SafeString:
    """Return the elements that load the entry: its style sheets, preloads and script.

    Raises:
        FrontEndNotBuilt: nobody has built the front end, or it has no such entry.
    """
    files = manifest.load(manifest.DIRECTORY).entry(name)
    nonce = context.get("CSP_NONCE", "")
    return SafeString(
        format_html_join("\n", '<link rel="stylesheet" href="{}">', ((_url(file),) for file in files.styles))
        + format_html_join("\n", '<link rel="modulepreload" href="{}">', ((_url(file),) for file in files.preloads))
        + format_html('<script type="module" src="{}" nonce="{}"></script>', _url(files.script), nonce)
    )


def _url(file: str) -> str:
    # The build's names contain a hash, and its modules import each other under these names. Names with a second hash,
    # from the static storage, would load every module twice.
    return f"{settings.STATIC_URL}clubhouse/dist/{file}"
