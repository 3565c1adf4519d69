"""Whom a control operation addresses, the same in this process and in any other."""

from msgspec import Struct


class Target(Struct, frozen=True):
    """Connections, by every condition given; with none given, all of them.

    `user_id` "" addresses the anonymous ones. `session_id` is a login, or the secret of one connection over HTTP.
    """

    user_id: str | None = None
    session_id: str | None = None
    client_id: str | None = None
