"""What a stand-alone server asks, and what it is answered (protocol §8.2)."""

import base64
import binascii
from typing import Any

import msgspec
from msgspec import Raw, Struct

from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.model import EMPTY
from hotclub.engine.port import PolledItem


class Meta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server keeps of a connection for us, and clients never see: the login it began with."""

    session_key: str = ""
    auth_hash: str = ""
    token: Any = None
    """The `meta` claim."""


class AskedItem(Struct, frozen=True):
    key: str
    version: int = 0


class Question(Struct, frozen=True, kw_only=True):
    """The body of every hook; each uses some of the fields."""

    client: str = ""
    encoding: str = "json"
    user: str = ""
    data: Raw = EMPTY
    b64data: str = ""
    name: str = ""
    version: str = ""
    channels: tuple[str, ...] = ()
    channel: str = ""
    token: str = ""
    method: str = ""
    key: str = ""
    items: tuple[AskedItem, ...] = ()
    meta: Meta = Meta()

    @property
    def payload(self) -> Raw:
        """Raises Refused `BAD_REQUEST` for base64 that is none."""
        try:
            return Raw(base64.b64decode(self.b64data, validate=True)) if self.b64data else self.data
        except binascii.Error:
            raise Refused(Code.BAD_REQUEST, "b64data is no base64") from None


def read_question(body: bytes) -> Question:
    """A hook's body; fields that are null count as left out.

    Raises:
        msgspec.DecodeError: it is no such thing.
    """
    fields = msgspec.json.decode(body, type=dict[str, Raw])
    given = {name: value for name, value in fields.items() if bytes(value) != b"null" or name == "data"}
    if "meta" in given and not bytes(given["meta"]).startswith(b"{"):
        del given["meta"]
    return msgspec.json.decode(msgspec.json.encode(given), type=Question)


def payload_field(name: str, data: Raw, encoding: str) -> dict[str, Any]:
    """A payload in the form that the server asked for; nothing for no payload."""
    if not bytes(data):
        return {}
    if encoding == "binary":
        return {f"b64{name}": base64.b64encode(data).decode()}
    return {name: data}


def polled(item: PolledItem) -> dict[str, Any]:
    """A key's value in the answer to `shared_poll_refresh`."""
    told: dict[str, Any] = {"key": item.key, "version": item.version}
    if item.removed:
        return {**told, "removed": True}
    return {**told, "data": item.data}
