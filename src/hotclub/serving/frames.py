"""The frame parser of uvicorn's WebSocket protocol, with bounds on messages and optional compression (RFC 7692)."""

import logging
from collections.abc import Generator
from typing import Final

from websockets.exceptions import PayloadTooBig
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Protocol
from websockets.server import ServerProtocol

from hotclub.engine.limits import Limits

_SUBPROTOCOL: Final = "Sec-WebSocket-Protocol"
_LOGGER: Final = logging.getLogger("uvicorn.error")
# Without context takeover a connection keeps no compression state, and the length of a message reveals nothing about an
# earlier message.
_EXTENSIONS: Final = (ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),)


class TooManyFragments(PayloadTooBig):
    """A message has more than `limit` frames."""

    def __init__(self, limit: int) -> None:
        super().__init__(None, limit)
        self._limit = limit

    def __str__(self) -> str:
        # The base class adds the bytes of the earlier fragments to `max_size`.
        return f"a message of more than {self._limit} fragments"


class FrameParser(ServerProtocol):
    """A frame parser that bounds the frames and the bytes of a message. It accepts a close frame between two fragments.

    The bound on the bytes applies to the decompressed message. uvicorn's HTTP parser has read the request before.
    """

    def __init__(self, limits: Limits, *, compression: bool) -> None:
        super().__init__(extensions=_EXTENSIONS if compression else (), max_size=limits.message_bytes, logger=_LOGGER)
        self._most_fragments = limits.fragments
        self._fragments = 0

    def parse(self) -> Generator[None]:
        """See `Protocol.parse`. The first byte belongs to a frame."""
        return Protocol.parse(self)

    def accept(self, request: Request) -> Response:
        """See `ServerProtocol.accept`. An empty `Sec-WebSocket-Protocol` field counts as missing."""
        # Some clients without a subprotocol send an empty field, among them the PyPI SDK up to 0.5.
        if request.headers.get_all(_SUBPROTOCOL) == [""]:
            del request.headers[_SUBPROTOCOL]
        return super().accept(request)

    @property
    def window_bits(self) -> int:
        """The window of compressed frames in bits, 0 when client and server agreed on no compression."""
        agreed = [item for item in self.extensions if isinstance(item, PerMessageDeflate)]
        return agreed[0].local_max_window_bits if agreed else 0

    def recv_frame(self, frame: Frame) -> None:
        """See `ServerProtocol.recv_frame`.

        Raises:
            TooManyFragments: the message has more than `Limits.fragments` frames.
        """
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._fragments = 1
        elif frame.opcode is Opcode.CONT:
            self._fragments += 1
            if self._fragments > self._most_fragments:
                raise TooManyFragments(self._most_fragments)
        elif frame.opcode is Opcode.CLOSE:
            # A close frame may come between two fragments (RFC 6455 §5.4). The base class refuses it there.
            self.current_size = None
        super().recv_frame(frame)
