"""What a live connection says of its user."""

from clubhouse.accounts.models import User
from hotclub import Client


def on_connect(client: Client) -> None:
    """Show the members of a channel the user's public name, and nothing else."""
    if isinstance(client.user, User):
        client.info = {"name": client.user.public_name}
