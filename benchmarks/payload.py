"""What is published: 200 bytes of JSON with a sequence number. Generator and sites make it the same way."""

import re
from typing import Final

SIZE: Final = 200
SEQUENCE: Final = re.compile(rb'"seq": ?"(\d{10})"')
"""Finds the sequence numbers in whatever a peer wraps around the payload, in compact and in spaced JSON."""

_FRAME: Final = len('{"seq":"","pad":""}') + 10
_PAD: Final = "x" * (SIZE - _FRAME)


def payload(sequence: int) -> dict[str, str]:
    """The publication with this number."""
    return {"seq": f"{sequence:010}", "pad": _PAD}


def text(sequence: int) -> bytes:
    """The publication with this number as compact JSON."""
    return b'{"seq":"%010d","pad":"%b"}' % (sequence, _PAD.encode())
