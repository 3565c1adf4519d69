"""What a node asks an application about keys: of maps, which clients set, and of shared polls, which clients follow."""

from msgspec import Raw, Struct

from hotclub.engine.model import EMPTY


class KeyChange(Struct, frozen=True, kw_only=True):
    """A client's wish to set `key` of a map, or to remove it."""

    key: str
    data: Raw = EMPTY
    removed: bool = False


class PollItem(Struct, frozen=True):
    """A key of a question, with the version that the node knows, 0 for none."""

    key: str
    version: int = 0


class PolledItem(Struct, frozen=True, kw_only=True):
    """The value of a key. A `removed` key has none, and its followers stop following it."""

    key: str
    data: Raw = EMPTY
    version: int = 0
    removed: bool = False


class PollAnswer(Struct, frozen=True, kw_only=True):
    """The application's answer to a question. A key that it leaves out keeps its value.

    Versions of different epochs cannot be compared: when `epoch` changes, every follower has to subscribe anew.
    """

    items: tuple[PolledItem, ...] = ()
    epoch: str = ""
