"""Web origins: compared whole, never by prefix or suffix."""

import re
from typing import Final, NamedTuple

_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port; two of them are the same place if and only if they are equal."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin | None:
    """The origin a browser would write like this, or None: no path, no user name, no wildcard, not `null`."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        return None
    scheme, host, port = match["scheme"], match["host"], match["port"]
    return Origin(scheme, host, int(port) if port else _PORTS.get(scheme))
