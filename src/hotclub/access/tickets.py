"""One-time tickets. With a ticket a client that cannot send the session cookie connects with the login of its page."""

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.utils import timezone

from hotclub.access.sealing import seal, unseal
from hotclub.runtime.node import refuse_event_loop
from hotclub.runtime.tables import tickets

PREFIX: Final = "t."
LIFETIME: Final = timedelta(seconds=30)


def ticket(request: HttpRequest) -> str:
    """Make a one-time ticket for the login of a request, from synchronous code.

    The client sends the ticket as its connection token, within 30 s. The connection is the same as with the session's
    cookie, and ends with the login. A ticket may stand in a URL, because it opens nothing after its use.

    Args:
        request: the request of the page. Without a login the ticket is good for an anonymous connection.

    Returns:
        The ticket.

    Raises:
        SynchronousOnlyOperation: the function was called where an event loop runs; await `aticket`.
    """
    refuse_event_loop("ticket")
    return _issue(request)


async def aticket(request: HttpRequest) -> str:
    """`ticket` for async code. A cancelled call may leave an unused ticket, which expires."""
    return await sync_to_async(_issue, thread_sensitive=True)(request)


def redeem(text: str) -> str | None:
    """Use up a ticket, and return its session key. Synchronous; one statement, and a second one for a good ticket.

    If several calls redeem a ticket at the same time, exactly one of them gets the key.

    Returns:
        The session key, "" for a ticket without a login, or None for a ticket that was used, has expired or does not
        exist.
    """
    found = tickets().filter(digest=_digest(text))
    if not found.filter(used=False, expires__gt=timezone.now()).update(used=True):
        return None
    sealed = found.values_list("session_key", flat=True).get()
    return unseal(sealed) if sealed else ""


def _issue(request: HttpRequest) -> str:
    text = PREFIX + secrets.token_urlsafe(32)
    now = timezone.now()
    rows = tickets()
    rows.filter(expires__lt=now - LIFETIME).delete()
    session = getattr(request, "session", None)
    # A session without a login may become the session of one, and the ticket is for the present visitor.
    key = session.session_key if session is not None and SESSION_KEY in session else None
    rows.create(digest=_digest(text), session_key=seal(key) if key else "", expires=now + LIFETIME)
    return text


def _digest(text: str) -> str:
    # A plain digest is enough, because a ticket is too long and random to be guessed.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
