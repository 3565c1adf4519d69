"""The frame parser of uvicorn's WebSocket protocol, with bounds on messages and optional compression (RFC 7692)."""

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
    """A message has more than `limit` frames."""

    def __init__(self, limit: int) -> None:
        super().__init__(None, limit)
        self._limit = limit

    def __str__(self) -> str:
        # The base class adds the bytes of the earlier fragments to `max_size`.
        return f"a message of more than {self._limit} fragments"


class FrameParser(ServerProtocol):
    """A frame parser that bounds the frames and the bytes of a message. It accepts a close frame between two fragments.

    The bound on the bytes applies to the decompressed message.
    """

    def __init__(self, limits: Limits, *, compression: bool) -> None:
        # Without context takeover a connection keeps no compression state, and the length of a message reveals nothing
        # about an earlier message.
        deflate = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
        super().__init__(
            extensions=[deflate] if compression else [],
            max_size=limits.message_bytes,
            logger=logging.getLogger("uvicorn.error"),
        )
        self._most_fragments = limits.fragments
        self._fragments = 0

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
