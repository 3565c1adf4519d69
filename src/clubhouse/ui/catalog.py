"""The translations of the front end, as one JSON catalog per language."""

import hashlib
from functools import lru_cache
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe
from django.views.i18n import JSONCatalog

_YEAR = 365 * 24 * 3600


@require_safe
def catalog(request: HttpRequest) -> HttpResponse:
    """Answer with the catalog of the language `?lang=`, or else of the reader's language.

    Browsers may keep the answer for ever when the address has the catalog's present version in `v`.
    """
    asked = request.GET.get("lang", "")
    language = asked if asked in dict(settings.LANGUAGES) else translation.get_language() or settings.LANGUAGE_CODE
    content, version = _catalog(language)
    response = HttpResponse(content, content_type="application/json")
    if asked == language and request.GET.get("v") == version:
        patch_cache_control(response, public=True, max_age=_YEAR, immutable=True)
    else:
        patch_cache_control(response, no_cache=True)
    return response


def catalog_url(language: str) -> str:
    """Return the address of the language's catalog, which contains a hash of its translations."""
    query = urlencode({"lang": language, "v": _catalog(language)[1]})
    return f"{reverse('ui:catalog')}?{query}"


# Translations change with the code only, so a process reads them once.
@lru_cache
def _catalog(language: str) -> tuple[bytes, str]:
    request = HttpRequest()
    request.method = "GET"
    with translation.override(language):
        response = JSONCatalog.as_view(packages=["clubhouse.ui"])(request)
    assert isinstance(response, HttpResponse)
    content = response.content
    return content, hashlib.sha256(content).hexdigest()[:12]
