"""Finds the rights of an API key in the settings and in the database, by its digest."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from django.utils.crypto import constant_time_compare

from hotclub.conf.config import Config
from hotclub.conf.values import KeyRights, digest_of, is_list_of_text
from hotclub.runtime.node import in_thread
from hotclub.runtime.tables import api_keys

_QUERY_FIELDS = 20


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
