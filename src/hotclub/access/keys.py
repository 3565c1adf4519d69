"""Which key of the settings verifies or signs a token, and with which algorithm.

A token decides nothing: its header only chooses among the keys that the project has named.
"""

import jwt
from jwt.algorithms import HMACAlgorithm, get_default_algorithms

from hotclub.conf.token_keys import ALGORITHMS, HMAC, BadKey, Key, TokenSettings


class _AnyLength(HMACAlgorithm):
    """Accepts a secret of any length. A system check warns of a short one once; PyJWT would at every verification."""

    def check_key_length(self, key: bytes) -> str | None:  # noqa: ARG002
        return None


def signatures() -> jwt.PyJWS:
    """The object that verifies and makes signatures, with the algorithms of `ALGORITHMS` and no other."""
    jws = jwt.PyJWS(algorithms=[])
    known = get_default_algorithms()
    hashes = dict(zip(HMAC, (HMACAlgorithm.SHA256, HMACAlgorithm.SHA384, HMACAlgorithm.SHA512), strict=True))
    for name in ALGORITHMS:
        jws.register_algorithm(name, _AnyLength(hashes[name]) if name in hashes else known[name])
    return jws


def candidates(settings: TokenSettings, issuer: str, kid: str, algorithm: str) -> tuple[Key, ...]:
    """The keys that may have signed a token.

    Args:
        settings: the `TOKENS` setting.
        issuer: the token's `iss` claim.
        kid: the key id in the token's header, "" without one.
        algorithm: the algorithm in the token's header.

    Returns:
        The keys with this id when there are any, else the keys without an id; all keys for a token without an id.

    Raises:
        BadKey: the JWKS file cannot be used.
    """
    fitting = [key for key in settings.all_keys() if key.algorithm == algorithm and key.issuer in ("", issuer)]
    named = tuple(key for key in fitting if kid and key.kid == kid)
    return named or tuple(key for key in fitting if not key.kid or not kid)


def signing_key(settings: TokenSettings) -> Key:
    """The first key that can sign.

    Raises:
        BadKey: no key can.
    """
    for key in settings.keys:
        if key.private is not None:
            return key
    raise BadKey('HOTCLUB["TOKENS"] has no key to sign with: give an "HMAC_SECRET", or a key with "PRIVATE_KEY".')
