"""The JSON codec: objects separated by one line break (protocol §1.2)."""

from collections.abc import Iterator
from typing import Final

import msgspec

from hotclub.engine.errors import disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.model import Publication
from hotclub.engine.protocol.messages import Command, Push, Reply


class _Pushed(msgspec.Struct, frozen=True):
    push: Push


class JsonCodec:
    """The protocol as JSON text."""

    name = "json"
    ping = b"{}"

    def __init__(self) -> None:
        self._decoder: Final = msgspec.json.Decoder(Command)
        self._encoder: Final = msgspec.json.Encoder()

    def decode(self, frame: bytes, limits: Limits) -> Iterator[Command]:
        start, end = 0, len(frame)
        if frame.endswith(b"\n"):
            end -= 1
        for _ in range(limits.commands_per_frame):
            stop = frame.find(b"\n", start, end)
            yield self._decode_line(frame[start : end if stop < 0 else stop])
            if stop < 0:
                return
            start = stop + 1
        raise disconnect(3501)

    def _decode_line(self, line: bytes) -> Command:
        try:
            return self._decoder.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise disconnect(3501) from None

    def encode_reply(self, reply: Reply) -> bytes:
        return self._encoder.encode(reply)

    def encode_push(self, push: Push) -> bytes:
        return self._encoder.encode(_Pushed(push))

    def encode_publication(self, channel: str, publication: Publication) -> bytes:
        encode = self._encoder.encode
        return b'{"push":{"channel":%b,"pub":%b}}' % (encode(channel), encode(publication))
