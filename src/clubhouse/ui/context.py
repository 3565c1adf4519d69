"""What every page's template knows."""

from django.http import HttpRequest
from django.utils.translation import get_language

from clubhouse.ui.catalog import catalog_url


def page(_request: HttpRequest) -> dict[str, object]:
    """`html_lang` for the root element, and the address of the front end's texts."""
    language = get_language() or "en"
    # The widget kit looks its texts up by language-region; plain zh-Hans would give English ones.
    return {"html_lang": "zh-Hans-CN" if language == "zh-hans" else language, "catalog_url": catalog_url(language)}
