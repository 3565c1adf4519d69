"""The keys that tokens are verified and made with: one algorithm per key, found by issuer and key id.

Nothing here is decided by the token: its header only chooses among the keys that the project has named, and nothing is
ever fetched.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import get_default_algorithms

HMAC: Final = ("HS256", "HS384", "HS512")
ALGORITHMS: Final = (
    *HMAC,
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
STRONG_SECRET: Final = 32
"""Bytes of a secret that cannot be guessed by trying."""
STRONG_RSA: Final = 2048

_OF_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}


class BadKey(ValueError):
    """A key of the settings cannot be used; the text says why, and holds nothing of the key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key with its one algorithm. `private` is None for a key that only verifies."""

    algorithm: str
    public: Any = field(repr=False)
    private: Any = field(default=None, repr=False)
    kid: str = ""
    issuer: str = ""

    @property
    def weakness(self) -> str:
        """Why this key is too weak, "" for one that is not."""
        if self.algorithm in HMAC and len(self.public) < STRONG_SECRET:
            return f"a secret of {len(self.public)} bytes; use at least {STRONG_SECRET} random ones"
        if isinstance(self.public, RSAPublicKey) and self.public.key_size < STRONG_RSA:
            return f"an RSA key of {self.public.key_size} bits; use at least {STRONG_RSA}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """The `TOKENS` setting. `audience` and `issuer` are checked only when they are given."""

    keys: tuple[Key, ...] = ()
    jwks_file: str = ""
    audience: tuple[str, ...] = ()
    issuer: tuple[str, ...] = ()
    leeway: float = 30.0

    def all_keys(self) -> tuple[Key, ...]:
        """Those of the settings and those of the JWKS file, which is read again when it has changed.

        Raises:
            BadKey: the file cannot be used.
        """
        return self.keys + (_read_jwks(self.jwks_file, _stamp(self.jwks_file)) if self.jwks_file else ())

    def candidates(self, issuer: str, kid: str, algorithm: str) -> tuple[Key, ...]:
        """The keys that may have signed a token with this in its header: those of that name, else the nameless ones."""
        fitting = [key for key in self.all_keys() if key.algorithm == algorithm and key.issuer in ("", issuer)]
        named = tuple(key for key in fitting if kid and key.kid == kid)
        return named or tuple(key for key in fitting if not key.kid or not kid)

    def signing_key(self) -> Key:
        """The first key that can sign.

        Raises:
            BadKey: there is none.
        """
        for key in self.keys:
            if key.private is not None:
                return key
        raise BadKey('HOTCLUB["TOKENS"] has no key to sign with: give a "hmac_secret", or a key with "private_key".')


def token_settings(raw: Mapping[str, Any]) -> TokenSettings:
    """The settings of a `TOKENS` dictionary.

    Raises:
        BadKey: a key in it cannot be used.
    """
    keys = []
    if raw.get("hmac_secret"):
        keys.append(make_key({"algorithm": "HS256", "key": raw["hmac_secret"]}))
    keys += [make_key(entry) for entry in raw.get("keys", ())]
    return TokenSettings(
        keys=tuple(keys),
        jwks_file=os.fspath(raw.get("jwks_file", "")),
        audience=_several(raw.get("audience")),
        issuer=_several(raw.get("issuer")),
        leeway=raw.get("leeway", 30.0),
    )


def make_key(entry: Any) -> Key:
    """A key from its entry in the settings: `algorithm`, `key` and/or `private_key`, `kid`, `issuer`.

    Raises:
        BadKey: it cannot be used.
    """
    if not isinstance(entry, Mapping):
        raise BadKey("it is no dictionary")
    algorithm = entry.get("algorithm")
    if algorithm not in ALGORITHMS:
        raise BadKey(f"its algorithm is {algorithm!r}; use one of {', '.join(ALGORITHMS)}")
    names = {name: str(entry.get(name, "")) for name in ("kid", "issuer")}
    implementation = get_default_algorithms()[algorithm]
    public, private = entry.get("key"), entry.get("private_key")
    try:
        if algorithm in HMAC:
            secret = implementation.prepare_key(public or private)
            return Key(algorithm, secret, secret, **names)
        signer = implementation.prepare_key(private) if private else None
        verifier = implementation.prepare_key(public) if public else None
    except (jwt.InvalidKeyError, TypeError, ValueError) as error:
        raise BadKey(f"it is no {algorithm} key: {error}") from None
    return Key(algorithm, _verifier(verifier, signer), signer, **names)


def _verifier(verifier: Any, signer: Any) -> Any:
    """The public half of a pair that was given as either or both."""
    if signer is not None and not hasattr(signer, "private_bytes"):
        raise BadKey("its private_key is a public one; write it as key")
    if hasattr(verifier, "private_bytes"):
        raise BadKey("its key is a private one; write it as private_key")
    if verifier is None and signer is None:
        raise BadKey("it has neither a key nor a private_key")
    return signer.public_key() if verifier is None else verifier


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - once per token, and pathlib is several times slower
    except OSError as error:
        raise BadKey(f"the JWKS file cannot be read: {error.strerror}") from None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=8)
def _read_jwks(path: str, _unchanged: tuple[int, int]) -> tuple[Key, ...]:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as above
            entries = json.load(file)["keys"]
        keys = tuple(_from_jwk(entry) for entry in entries if entry.get("use", "sig") == "sig")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise BadKey(f"the JWKS file cannot be used: {error}") from None
    if not keys:
        raise BadKey("the JWKS file holds no key for signatures")
    return keys


def _from_jwk(entry: Mapping[str, Any]) -> Key:
    curve = _OF_CURVE.get(str(entry.get("crv")), "")
    algorithm = entry.get("alg") or {"RSA": "RS256", "oct": "HS256"}.get(str(entry.get("kty")), curve)
    if algorithm not in ALGORITHMS:
        raise BadKey(f"a key has the algorithm {algorithm!r}")
    if entry.get("kty") != "oct" and "d" in entry:
        raise BadKey("a key in it is private, and must not lie about")
    return Key(algorithm, jwt.PyJWK(dict(entry), algorithm).key, kid=str(entry.get("kid", "")))


def _several(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else tuple(value or ())
