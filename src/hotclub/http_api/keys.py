"""Who may call the API: keys of the settings and of the database, compared by their digests."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from django.utils.crypto import constant_time_compare

from hotclub.conf.config import Config
from hotclub.conf.values import ApiGrant, digest_of, is_list_of_text, static_grant
from hotclub.runtime.node import in_thread
from hotclub.runtime.tables import api_keys

_QUERY_FIELDS = 20


def presented_key(headers: Mapping[str, str], query: str, config: Config) -> str:
    """The key of a request, "" for none. `headers` have lower-cased names."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    key = headers.get("x-api-key") or (rest.strip() if scheme.lower() == "apikey" else "")
    if key or not config.api_key_in_query:
        return key
    try:
        return parse_qs(query, max_num_fields=_QUERY_FIELDS).get("api_key", [""])[0]
    except ValueError:
        return ""


async def find_grant(key: str, config: Config) -> ApiGrant | None:
    """What the bearer of this key may do, None for nothing at all."""
    if not key:
        return None
    digest = digest_of(key)
    found = None
    for grant in map(static_grant, config.api_keys):
        # All of them are compared, so that the time tells nothing.
        if constant_time_compare(grant.digest, digest):
            found = found or grant
    return found or await in_thread(_stored_grant, digest)


def _stored_grant(digest: str) -> ApiGrant | None:
    row = api_keys().filter(digest=digest, revoked=None).first()
    if row is None or not is_list_of_text(row.channels) or not is_list_of_text(row.methods):
        return None
    return ApiGrant(row.digest, row.name, tuple(row.channels), tuple(row.methods))
