"""The channels of a project as the back end of a stand-alone server of this protocol (protocol §8.2).

The same `Channel` classes, procedures and `ON_CONNECT` answer the server's HTTP hooks, so that sockets can move out of
the Django processes without a change of the channels. In the project's `urls.py`:

    path("live-hooks/", include(hotclub.proxy.urls(secret=settings.LIVE_HOOKS_SECRET)))
"""

from hotclub.proxy.views import urls

__all__ = ["urls"]
