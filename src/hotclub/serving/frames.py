"""The frame parser under uvicorn's WebSocket protocol, with bounds of its own and, if wanted, compression."""

import logging
from typing import Final

from websockets.exceptions import PayloadTooBig
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from hotclub.engine.limits import Limits

_SUBPROTOCOL: Final = "Sec-WebSocket-Protocol"


class TooManyFragments(PayloadTooBig):
    """A message comes in more frames than `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__(None, limit)

    def __str__(self) -> str:
        return f"a message of more than {self.max_size} fragments"


class FrameParser(ServerProtocol):
    """The frame parser, with a bound on how many frames one message is cut into, and open to a close between them.

    The bound on a message's bytes holds for what a compressed one becomes.
    """

    def __init__(self, limits: Limits, *, compression: bool) -> None:
        # Without a context there is nothing to keep for each connection, and nothing that one message tells of another.
        deflate = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
        super().__init__(
            extensions=[deflate] if compression else [],
            max_size=limits.message_bytes,
            logger=logging.getLogger("uvicorn.error"),
        )
        self._most_fragments = limits.fragments
        self._fragments = 0

    def accept(self, request: Request) -> Response:
        # Some clients that have no subprotocol to offer, the PyPI SDK up to 0.5 among them, send the field empty.
        if request.headers.get_all(_SUBPROTOCOL) == [""]:
            del request.headers[_SUBPROTOCOL]
        return super().accept(request)

    @property
    def window_bits(self) -> int:
        """How far back compressed frames may refer, as a power of two; 0 when nothing was agreed on."""
        agreed = [item for item in self.extensions if isinstance(item, PerMessageDeflate)]
        return agreed[0].local_max_window_bits if agreed else 0

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._fragments = 1
        elif frame.opcode is Opcode.CONT:
            self._fragments += 1
            if self._fragments > self._most_fragments:
                raise TooManyFragments(self._most_fragments)
        elif frame.opcode is Opcode.CLOSE:
            # A close may come in the middle of a message, which is then discarded; the base class calls it an error.
            self.current_size = None
        super().recv_frame(frame)
