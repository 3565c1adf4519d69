"""Whose connection it is, behind proxies: `X-Forwarded-For` counts only as far as the project names who may send it."""

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

from hotclub.conf.values import UNIX, parse_network


def client_address(peer: str, headers: Mapping[str, str], trusted: tuple[str, ...]) -> str:
    """The address of the client: the last one that no trusted proxy has.

    Args:
        peer: where the connection comes from, "" for a Unix socket.
        headers: lower-cased headers of the request.
        trusted: networks of the proxies, such as `10.0.0.0/8`, and `unix`.
    """
    if not trusted or not _is_trusted(peer, trusted):
        return peer
    address = peer
    for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
        parsed = _plain(hop.strip())
        if parsed is None:
            # Whoever wrote this, nothing before it can be believed.
            break
        address = parsed
        if not _is_trusted(address, trusted):
            break
    return address


def _is_trusted(address: str, trusted: tuple[str, ...]) -> bool:
    if not address:
        return UNIX in trusted
    plain = _plain(address)
    if plain is None:
        return False
    return any(network is not None and ip_address(plain) in network for network in map(parse_network, trusted))


def _plain(text: str) -> str | None:
    """An address without port, brackets and zone; None for anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
