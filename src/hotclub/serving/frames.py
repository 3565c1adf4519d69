"""The frame parser of uvicorn's WebSocket protocol, with bounds on messages and optional compression (RFC 7692)."""

import logging
from collections.abc import Generator
from typing import Final
from uuid import UUID

from websockets.exceptions import PayloadTooBig
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import CONNECTING, SERVER, Protocol
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

from hotclub.engine.limits import Limits

_NO_ID: Final = UUID(int=0)
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
        # The base classes' own __init__ would draw an id for logs that nobody reads, and parse a request.
        self.id, self.logger, self.debug = _NO_ID, _LOGGER, _LOGGER.isEnabledFor(logging.DEBUG)
        self.side, self.state = SERVER, CONNECTING
        self.max_message_size, self.max_fragment_size, self.current_size = limits.message_bytes, None, None
        self.available_extensions = _EXTENSIONS if compression else ()
        self.origins = self.available_subprotocols = self.origin = self.subprotocol = None
        self.extensions, self.events, self.writes = [], [], []
        self.close_rcvd = self.close_sent = self.close_rcvd_then_sent = None
        self.handshake_exc = self.parser_exc = None
        self.accept_called = self.eof_sent = self.expect_continuation_frame = False
        self.reader = StreamReader()
        self.parser = self.parse()
        next(self.parser)
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
