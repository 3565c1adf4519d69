"""Chooses the keys of the settings that verify or sign a token.

A token's header only narrows the choice among the keys that the project has named, each with its algorithm.
"""

import jwt
from jwt.algorithms import HMACAlgorithm, get_default_algorithms

from hotclub.conf.token_keys import ALGORITHMS, HMAC, BadKey, Key, TokenSettings


class _AnyLength(HMACAlgorithm):
    """Accepts a secret of any length. PyJWT would warn of a short one each time, and a system check warns once."""

    def check_key_length(self, key: bytes) -> str | None:  # noqa: ARG002
        return None


def signatures() -> jwt.PyJWS:
    """Return the object that verifies and makes signatures, with the algorithms of `ALGORITHMS` alone."""
    jws = jwt.PyJWS(algorithms=[])
    known = get_default_algorithms()
    hashes = dict(zip(HMAC, (HMACAlgorithm.SHA256, HMACAlgorithm.SHA384, HMACAlgorithm.SHA512), strict=True))
    for name in ALGORITHMS:
        jws.register_algorithm(name, _AnyLength(hashes[name]) if name in hashes else known[name])
    return jws


def candidates(settings: TokenSettings, issuer: str, kid: str, algorithm: str) -> tuple[Key, ...]:
    """Return the keys that may have signed a token.

    Args:
        settings: the `TOKENS` setting.
        issuer: the token's `iss` claim.
        kid: the key id in the token's header, "" for none.
        algorithm: the algorithm in the token's header.

    Returns:
        The keys of this issuer and algorithm with this id, or those without an id if no key has it. Without `kid`, all
        keys of this issuer and algorithm.

    Raises:
        BadKey: the JWKS file cannot be used.
    """
    fitting = [key for key in settings.all_keys() if key.algorithm == algorithm and key.issuer in ("", issuer)]
    named = tuple(key for key in fitting if kid and key.kid == kid)
    return named or tuple(key for key in fitting if not key.kid or not kid)


def signing_key(settings: TokenSettings) -> Key:
    """Return the first key that can sign.

    Raises:
        BadKey: no key can sign.
    """
    for key in settings.keys:
        if key.private is not None:
            return key
    raise BadKey('HOTCLUB["TOKENS"] has no key to sign with: give an "HMAC_SECRET", or a key with "PRIVATE_KEY".')
