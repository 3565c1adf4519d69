"""Refuses bodies that are not UTF-8, serves static files, and explains what to do when the front end is not built."""

import codecs
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import patch_cache_control
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]
from whitenoise.responders import StaticFile  # type: ignore[import-untyped]

from clubhouse.ui.manifest import FrontEndNotBuilt


class EncodingMiddleware:
    """Answers 415 to a request whose `Content-Type` names another encoding than UTF-8.

    The forms of the site are UTF-8. Django raises where the form of such a request is read, also while it makes the
    page that reports the error.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request in UTF-8 with the site's page, and any other with 415."""
        # None when the request names no encoding, or one that Python does not know.
        encoding = request.encoding
        if encoding is None:
            return self.get_response(request)
        # Django does not know the other names of UTF-8, of which ASCII is a part.
        request.encoding = "utf-8"
        if codecs.lookup(encoding).name in ("utf-8", "ascii"):
            return self.get_response(request)
        status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        return HttpResponse(status.phrase, status=status, content_type="text/plain")


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # it has no type information
    """WhiteNoise for a site under ASGI.

    WhiteNoise's responses stream from a synchronous iterator. Django under ASGI warns about such an iterator, and reads
    all of it before it sends anything. This class reads the files, which are small, in the thread of the request.

    WhiteNoise lists the files when the server starts. This class also finds files that a later build has made.
    """

    get_response: Callable[[HttpRequest], HttpResponseBase]

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the static file at the address, or else with the site's page."""
        url = request.path_info
        known = self.files.get(url)
        if known is None and self.use_finders and url.startswith(self.static_prefix):
            known = self.find_file(url)
        if known is None:
            return self.get_response(request)
        self.files[url] = known
        try:
            return self.serve(known, request)
        except FileNotFoundError:
            del self.files[url]
            return self.get_response(request)

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        """Return the response for the file: all of it, the part that the request asks for, or 304."""
        found = static_file.get_response(request.method, request.META)
        content = b""
        if found.file is not None:
            with found.file:
                content = found.file.read()
        response = HttpResponse(content, status=int(found.status))
        del response["content-type"]
        for name, value in found.headers:
            response[name] = value
        return response

    def immutable_file_test(self, path: str, url: str) -> bool:
        """Return whether the file's name contains a hash, from the front end's build or from `collectstatic`."""
        built = re.search(r"/clubhouse/dist/.+-[\w-]{8,}\.\w+$", url)
        return bool(built) or super().immutable_file_test(path, url)


class FrontEndMiddleware:
    """Answers 503 with instructions when a page needs bundles that are not built."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, _request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the page for `FrontEndNotBuilt`; None for other exceptions, which Django then handles."""
        if not isinstance(exception, FrontEndNotBuilt):
            return None
        context: dict[str, Any] = {"reason": str(exception)}
        return HttpResponse(render_to_string("ui/not_built.html", context), status=503)


class PrivatePagesMiddleware:
    """Keeps what a signed-in person sees out of every cache: with "Back" after a log-out a browser would show it.

    Redirects, errors and data count as pages. What says that it is public, such as static files, is left alone. The
    session's cookie decides, in the request or in the response, so nothing is read from the database. This middleware
    has to be the first one, because any other may answer.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, with `Cache-Control: private, no-store` where it is needed."""
        response = self.get_response(request)
        name = settings.SESSION_COOKIE_NAME
        has_login = name in request.COOKIES or name in response.cookies
        if has_login and "public" not in response.get("Cache-Control", ""):
            patch_cache_control(response, private=True, no_store=True)
        return response
