"""Answers the HTTP hooks of a stand-alone server of this protocol (protocol §8.2).

The project's `Channel` classes, procedures and `ON_CONNECT` answer them, so the sockets can leave the Django processes
and the channels stay as they are. In the project's `urls.py`:

    path("live-hooks/", include(hotclub.proxy.urls(secret=settings.LIVE_HOOKS_SECRET)))
"""

from hotclub.proxy.views import urls

__all__ = ["urls"]
