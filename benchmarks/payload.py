"""The published message: 200 bytes of JSON with a sequence number. The load generator and the sites both make it."""

import re
from typing import Final

SIZE: Final = 200
SEQUENCE: Final = re.compile(rb'"seq": ?"(\d{10})"')
"""Finds the sequence numbers in the frames of every peer, in compact JSON and in JSON with spaces."""

_FRAME: Final = len('{"seq":"","pad":""}') + 10
_PAD: Final = "x" * (SIZE - _FRAME)


def payload(sequence: int) -> dict[str, str]:
    """Return the message with this number."""
    return {"seq": f"{sequence:010}", "pad": _PAD}


def text(sequence: int) -> bytes:
    """Return the message with this number as compact JSON."""
    return b'{"seq":"%010d","pad":"%b"}' % (sequence, _PAD.encode())
