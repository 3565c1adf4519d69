"""The frame parser of uvicorn's WebSocket protocol, with bounds of its own and, if wanted, compression."""

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
    """A message has been cut into more than `limit` frames."""

    def __init__(self, limit: int) -> None:
        super().__init__(None, limit)

    def __str__(self) -> str:
        return f"a message of more than {self.max_size} fragments"


class FrameParser(ServerProtocol):
    """A frame parser that bounds how many frames a message may be cut into, and takes a close frame between them.

    The bound on the bytes of a message holds for a compressed message when it is decompressed.
    """

    def __init__(self, limits: Limits, *, compression: bool) -> None:
        # Without a context, nothing is kept per connection, and a message's length tells nothing of another message.
        deflate = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
        super().__init__(
            extensions=[deflate] if compression else [],
            max_size=limits.message_bytes,
            logger=logging.getLogger("uvicorn.error"),
        )
        self._most_fragments = limits.fragments
        self._fragments = 0

    def accept(self, request: Request) -> Response:
        """See `ServerProtocol.accept`. An empty field for the subprotocol counts as none."""
        # Some clients without a subprotocol send the field empty, the PyPI SDK up to 0.5 among them.
        if request.headers.get_all(_SUBPROTOCOL) == [""]:
            del request.headers[_SUBPROTOCOL]
        return super().accept(request)

    @property
    def window_bits(self) -> int:
        """The window of compressed frames in bits, 0 when no compression was agreed on."""
        agreed = [item for item in self.extensions if isinstance(item, PerMessageDeflate)]
        return agreed[0].local_max_window_bits if agreed else 0

    def recv_frame(self, frame: Frame) -> None:
        """See `ServerProtocol.recv_frame`. Raises TooManyFragments."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._fragments = 1
        elif frame.opcode is Opcode.CONT:
            self._fragments += 1
            if self._fragments > self._most_fragments:
                raise TooManyFragments(self._most_fragments)
        elif frame.opcode is Opcode.CLOSE:
            # A close frame may come in the middle of a message, which is then discarded. The base class refuses that.
            self.current_size = None
        super().recv_frame(frame)
