"""What the base template needs."""

from django.http import HttpRequest
from django.utils.translation import get_language

from clubhouse.ui.catalog import catalog_url


def page(_request: HttpRequest) -> dict[str, object]:
    """`html_lang` for the root element, and `catalog_url`, the address of the front end's translations."""
    language = get_language() or "en"
    # The widget kit knows Chinese as zh-CN, and finds it for zh-Hans-CN. For zh-Hans alone it would speak English.
    return {"html_lang": "zh-Hans-CN" if language == "zh-hans" else language, "catalog_url": catalog_url(language)}
