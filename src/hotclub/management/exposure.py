"""Says what makes a project unfit for being reached from other machines, before a server begins to serve it."""

import socket
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.core.checks.security.base import check_secret_key, check_secret_key_fallbacks
from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from hotclub.conf.config import get_config


def weaknesses() -> Iterator[str]:
    """Yield why the project is for its developer alone: nothing for a project that may be reached by others."""
    if settings.DEBUG:
        yield _("DEBUG is on, so error pages show the code and its settings: set DEBUG = False.")
    if check_secret_key(None) or check_secret_key_fallbacks(None):
        yield _(
            "SECRET_KEY can be guessed, and with it sessions and tokens can be forged: set a random one of 50 letters."
        )
    if get_config().insecure:
        yield _("HOTCLUB['INSECURE'] lets anybody do nearly everything: remove it.")


def check_exposure(listener: socket.socket, *, allowed: bool) -> list[str]:
    """Return the weaknesses, for a warning, or refuse to serve them to other machines.

    Args:
        listener: the socket on which the server listens.
        allowed: whether somebody has said that other machines may reach the project as it is.

    Raises:
        CommandError: there are weaknesses, and the socket is not on the loopback interface.
    """
    found = list(weaknesses())
    host = listener.getsockname()[0]
    if found and not allowed and not is_loopback(host):
        listener.close()
        raise CommandError(
            _(
                "%(host)s can be reached from other machines, and this project is not fit for that:\n%(reasons)s\n"
                "Correct this, listen on 127.0.0.1, or say --allow-insecure if nobody else can reach this machine."
            )
            % {"host": host, "reasons": _listed(found)}
        )
    return [_("Nobody but you may reach this server:\n%(reasons)s") % {"reasons": _listed(found)}] if found else []


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine can connect to the address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _listed(reasons: list[str]) -> str:
    return "\n".join(f"- {reason}" for reason in reasons)
