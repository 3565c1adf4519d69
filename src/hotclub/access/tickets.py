"""One-time tickets: how a client that can send no cookie connects with the session of the page that it came from."""

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.utils import timezone

from hotclub.runtime.node import refuse_event_loop
from hotclub.runtime.tables import tickets

PREFIX: Final = "t."
LIFETIME: Final = timedelta(seconds=30)


def ticket(request: HttpRequest) -> str:
    """A one-time ticket for the session of this request: the client sends it as its connection token, within 30 s.

    The connection is the same as one with the session's cookie: it ends with the session. A ticket may stand in a URL,
    because it is worth nothing after its use.

    Raises:
        SynchronousOnlyOperation: called where an event loop runs; await `aticket`.
    """
    refuse_event_loop("ticket")
    return _issue(request)


async def aticket(request: HttpRequest) -> str:
    """`ticket` for async code."""
    return await sync_to_async(_issue, thread_sensitive=True)(request)


def redeem(text: str) -> str | None:
    """The session key ("" without a session) that the ticket stands for, None if it is worth nothing.

    Of several that redeem the same ticket at one time, exactly one gets it. Synchronous; one statement, and another for
    the winner.
    """
    found = tickets().filter(digest=_digest(text))
    if not found.filter(used=False, expires__gt=timezone.now()).update(used=True):
        return None
    return found.values_list("session_key", flat=True).get()


def _issue(request: HttpRequest) -> str:
    text = PREFIX + secrets.token_urlsafe(32)
    now = timezone.now()
    rows = tickets()
    rows.filter(expires__lt=now - LIFETIME).delete()
    session = getattr(request, "session", None)
    key = (session.session_key if session is not None else None) or ""
    rows.create(digest=_digest(text), session_key=key, expires=now + LIFETIME)
    return text


def _digest(text: str) -> str:
    # It is random, so there is nothing to guess and a plain digest is enough.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
