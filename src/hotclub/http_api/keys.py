"""Finds the rights of an API key in the settings and in the database, by its digest, and limits bad keys."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final
from urllib.parse import parse_qs

from django.apps import apps
from django.utils.crypto import constant_time_compare

from hotclub.access.rates import Buckets, TooMany
from hotclub.conf.config import Config
from hotclub.conf.values import KeyRights, Rate, digest_of, is_list_of_text
from hotclub.engine.observe import report
from hotclub.engine.places import network_of
from hotclub.runtime.node import in_thread
from hotclub.runtime.tables import api_keys

_QUERY_FIELDS: Final = 20
_GOOD_KEYS: Final = 1_000
_LOGGED: Final = Rate(1, 60)
"""How often bad keys of one address are logged."""


def presented_key(headers: Mapping[str, str], query: str, config: Config) -> str:
    """Return the API key of a request, "" when it has none.

    Args:
        headers: the headers by lower-case name; the key is in `x-api-key` or `authorization: apikey …`.
        query: the query string, which may hold the key as `api_key` if `API_KEY_IN_QUERY` is set.
        config: the configuration.
    """
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    key = headers.get("x-api-key") or (rest.strip() if scheme.lower() == "apikey" else "")
    if key or not config.api_key_in_query:
        return key
    try:
        return parse_qs(query, max_num_fields=_QUERY_FIELDS).get("api_key", [""])[0]
    except ValueError:
        return ""


async def find_rights(key: str, config: Config) -> KeyRights | None:
    """Return the rights of an API key, None for an unknown or revoked key. A cancelled call changes nothing.

    Raises:
        NotMigrated, DatabaseError: the keys of the database cannot be read.
    """
    if not key:
        return None
    digest = digest_of(key)
    found = None
    for rights in config.api_keys:
        # Every key is compared, so that the time of the answer reveals nothing about the position of a match.
        if constant_time_compare(rights.digest, digest):
            found = found or rights
    return found or await in_thread(_stored_rights, digest)


def _stored_rights(digest: str) -> KeyRights | None:
    row = api_keys().filter(digest=digest, revoked=None).first()
    if row is None or not is_list_of_text(row.channels) or not is_list_of_text(row.methods):
        return None
    return KeyRights(row.digest, row.name, tuple(row.channels), tuple(row.methods))


class FailedKeys:
    """Limits the bad keys of each address, in one process. May be used from every thread.

    A key that was good before is not refused for the bad keys of its address: several programs may share an address.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        """`clock` returns seconds and never goes back."""
        self._lock = threading.Lock()
        self._buckets = Buckets(clock=clock)
        self._good: OrderedDict[str, None] = OrderedDict()

    async def find_rights(self, key: str, address: str, config: Config) -> KeyRights | None:
        """Return the rights of an API key as `find_rights`, and note whether the key was good.

        Args:
            key: the key, "" for a request without one.
            address: the address of the client.
            config: the configuration, whose `rates.api_failures_per_address` is the limit.

        Raises:
            TooMany: the address has sent too many bad keys. The key was not looked up.
            NotMigrated, DatabaseError: the keys of the database cannot be read.
        """
        network, digest, rate = network_of(address), digest_of(key), config.rates.api_failures_per_address
        with self._lock:
            known = digest in self._good
            if rate is not None and not known:
                self._buckets.look(network)
        rights = await find_rights(key, config)
        with self._lock:
            if rights is None:
                self._good.pop(digest, None)
                self._fail(network, address, rate)
            elif not known:
                self._good[digest] = None
                while len(self._good) > _GOOD_KEYS:
                    self._good.popitem(last=False)
        return rights

    def _fail(self, network: str, address: str, rate: Rate | None) -> None:
        with contextlib.suppress(TooMany):
            self._buckets.take(("logged", network), _LOGGED)
            report("Refused an API key", status=401, address=address)
        with contextlib.suppress(TooMany):
            if rate is not None:
                self._buckets.take(network, rate)


def failed_keys() -> FailedKeys:
    """Return the limit on bad keys in this process."""
    found: FailedKeys = apps.get_app_config("hotclub").failed_keys  # type: ignore[attr-defined]
    return found
