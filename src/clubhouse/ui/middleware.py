"""Static files, and a helpful page where the front end has not been built."""

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]
from whitenoise.responders import StaticFile  # type: ignore[import-untyped]

from clubhouse.ui.manifest import FrontEndNotBuilt


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # it has no type information
    """WhiteNoise for a site under ASGI.

    Its own responses stream from a synchronous iterator, which Django under ASGI reads to the end first and warns
    about. These files are small: they are read in the request's own thread, where nothing else waits.

    WhiteNoise lists the files once, at the start. Here a front end that is built anew under a running server is found.
    """

    get_response: Callable[[HttpRequest], HttpResponseBase]

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The file of that address; otherwise whatever the rest of the site answers."""
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
        """The file, a part of it, or 304."""
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
        """Whether the name carries a hash: what the front end's build made, or `collectstatic`."""
        built = re.search(r"/clubhouse/dist/.+-[\w-]{8,}\.\w+$", url)
        return bool(built) or super().immutable_file_test(path, url)


class FrontEndMiddleware:
    """Answers 503, saying what to do, when a page needs bundles that were never built."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, _request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The page for `FrontEndNotBuilt`, and nothing for other exceptions."""
        if not isinstance(exception, FrontEndNotBuilt):
            return None
        context: dict[str, Any] = {"reason": str(exception)}
        return HttpResponse(render_to_string("ui/not_built.html", context), status=503)
