"""The questions of a stand-alone server, and the parts of the answers (protocol §8.2)."""

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
    """The login of a connection. The server keeps it, sends it with every question, and does not show it to clients.

    `login` is the sealed key of the session: this project finds the session by it, and nobody can sign in with it.
    """

    login: str = ""
    token: Any = None
    """The `meta` claim of the connection token."""


class AskedItem(Struct, frozen=True):
    """A key of a shared poll, with the version that the server knows, 0 for none."""

    key: str
    version: int = 0


class Question(Struct, frozen=True, kw_only=True):
    """The body of every hook. Each hook uses some of the fields."""

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
        """The payload of the question. Raises Refused `BAD_REQUEST` when `b64data` is not base64."""
        try:
            return Raw(base64.b64decode(self.b64data, validate=True)) if self.b64data else self.data
        except binascii.Error:
            raise Refused(Code.BAD_REQUEST, "b64data is no base64") from None


def read_question(body: bytes) -> Question:
    """Read the body of a hook. A field that is null counts as left out, except `data`.

    Raises:
        msgspec.DecodeError: the body is not JSON, or a field has another type.
    """
    fields = msgspec.json.decode(body, type=dict[str, Raw])
    given = {name: value for name, value in fields.items() if bytes(value) != b"null" or name == "data"}
    if "meta" in given and not bytes(given["meta"]).startswith(b"{"):
        del given["meta"]
    return msgspec.json.decode(msgspec.json.encode(given), type=Question)


def payload_field(name: str, data: Raw, encoding: str) -> dict[str, Any]:
    """A payload as a field of the result; no field for an empty payload.

    Args:
        name: the field's name, without `b64`.
        data: the payload.
        encoding: the encoding that the server asked for; "binary" is base64.
    """
    if not bytes(data):
        return {}
    if encoding == "binary":
        return {f"b64{name}": base64.b64encode(data).decode()}
    return {name: data}


def polled(item: PolledItem) -> dict[str, Any]:
    """The value of a key, for the result of `shared_poll_refresh`."""
    told: dict[str, Any] = {"key": item.key, "version": item.version}
    if item.removed:
        return {**told, "removed": True}
    return {**told, "data": item.data}
