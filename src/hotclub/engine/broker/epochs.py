"""The epochs of logs in memory, which follow from the names of their channels."""

import secrets
from base64 import urlsafe_b64encode
from hashlib import blake2b


class Epochs:
    """Gives each channel an epoch: the same one, without remembering it, until `change`."""

    __slots__ = ("_secret",)

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)

    def of(self, channel: str) -> str:
        """The epoch of a log that begins now in this channel."""
        return urlsafe_b64encode(blake2b(channel.encode(), digest_size=6, key=self._secret).digest()).decode()

    def change(self) -> None:
        """Give every log that begins from now on another epoch. To be called when a position is forgotten: nobody could
        tell any more whether a client that comes back with it has missed something."""
        self._secret = secrets.token_bytes(16)
