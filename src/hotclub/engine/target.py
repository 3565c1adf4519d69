"""The connections that an order of the server is for, named in the same way in every process."""

from msgspec import Struct


class Target(Struct, frozen=True):
    """The connections that fulfil every condition. None is no condition.

    `user_id` "" stands for the anonymous connections. `login_id` is a login, or the secret (`Peer.secret`) of one
    connection whose commands come in separate requests.
    """

    user_id: str | None = None
    login_id: str | None = None
    client_id: str | None = None
