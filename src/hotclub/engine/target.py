"""Which connections an order names, the same in every process."""

from msgspec import Struct


class Target(Struct, frozen=True):
    """The connections that fulfil every condition given; all connections without a condition.

    `user_id` "" stands for the anonymous connections. `login_id` is a login, or the secret of one connection whose
    commands come in requests of their own.
    """

    user_id: str | None = None
    login_id: str | None = None
    client_id: str | None = None
