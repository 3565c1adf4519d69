"""The error pages."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django names it
    """400: the site does not read what was sent. The page reads nothing of the request, which may be too long."""
    return HttpResponse(render_to_string("ui/400.html"), status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django names it
    """403: the reader may not see the page."""
    return render(request, "ui/403.html", status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django names it
    """404: there is no page at this address."""
    return render(request, "ui/404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """500: the site has failed. The page needs no database, login or front end, because these may be what failed."""
    return HttpResponse(render_to_string("ui/500.html"), status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: the form came without the browser's CSRF token, which is mostly because its page was old."""
    return render(request, "ui/403_csrf.html", {"reason": reason}, status=403)
