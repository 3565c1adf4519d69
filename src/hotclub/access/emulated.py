"""Judges requests that bring commands for a connection over HTTP, and show the connection's secret.

The secret is enough for a connection that a token or a ticket has opened, or nobody: such a connection has no cookie to
show. A connection that a session cookie has opened takes commands from requests of the same user alone. The cookies
need not be equal, because a session may get another key and signed cookies are written anew.
"""

from hotclub.access.handshake import SESSION_STATE
from hotclub.access.session import authenticate
from hotclub.channels.client import Client
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import Handshake


def shows_same_cookie(client: EngineClient, handshake: Handshake) -> bool:
    """Whether a request shows the cookie that opened the connection. Asks no database."""
    return client.handshake.state.get(SESSION_STATE) == session_key_of(handshake)


def session_key_of(handshake: Handshake) -> str:
    """Return the session key that a request shows, "" for none."""
    key = handshake.state.get(SESSION_STATE)
    return key if isinstance(key, str) else ""


def user_of(session_key: str) -> str:
    """Return the id of the user whom a session signs in, "" for none. Synchronous; asks the database."""
    login = authenticate(session_key) if session_key else None
    return "" if login is None else str(login.user.pk)


def may_send(client: EngineClient, user_id: str) -> bool:
    """Return whether a request may send commands for a connection whose secret it shows.

    Args:
        client: the connection.
        user_id: the user whose session cookie the request shows, "" for none.
    """
    mine = client.state
    return not isinstance(mine, Client) or not mine.by_cookie or mine.user_id == user_id
