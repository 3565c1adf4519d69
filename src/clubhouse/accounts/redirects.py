"""Where a page may send the browser: to a path of this site, and nowhere else."""

import re
from typing import Any, Final

from django.contrib.auth.views import RedirectURLMixin
from django.http import HttpRequest

# Browsers drop control characters, and read a backslash as a slash: what follows two of them is a host.
_PATH: Final = re.compile(r"/(?![/\\\\])[^\x00-\x20\x7f\\\\]*")


def local_path(address: str) -> str:
    """Return the address if it is a path of this site, with or without a query, and otherwise ""."""
    return address if _PATH.fullmatch(address) else ""


def is_navigation(request: HttpRequest) -> bool:
    """Return whether the person follows an address to a page of its own.

    Otherwise another page asks for it, such as an image of a page on another port of this host, which could tell by a
    redirect whether the person is signed in. The answer is True for browsers that do not say.
    """
    return request.headers.get("Sec-Fetch-Dest", "document") == "document"


def may_choose_target(request: HttpRequest) -> bool:
    """Return whether the address that the person follows comes from this site, or from the person."""
    return request.headers.get("Sec-Fetch-Site") in {"same-origin", "none"}


class LocalRedirect(RedirectURLMixin):
    """For views that take the page after them from `next`: only a path of this site counts."""

    def get_redirect_url(self, *args: Any, **kwargs: Any) -> str:
        """Return the path in `next`, or ""."""
        return local_path(super().get_redirect_url(*args, **kwargs))
