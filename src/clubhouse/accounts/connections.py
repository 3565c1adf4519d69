"""What happens when a client connects."""

from clubhouse.accounts.data import public_names
from clubhouse.accounts.models import User
from hotclub import Client


def on_connect(client: Client) -> None:
    """Give the connection the user's public names, which presence shows to the other subscribers of a channel.

    The setting `HOTCLUB["ON_CONNECT"]` names this function. A user without an account has no name.
    """
    if isinstance(client.user, User):
        client.info = {**public_names(client.user)}
