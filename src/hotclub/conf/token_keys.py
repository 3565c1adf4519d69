"""The `TOKENS` setting as data: the keys, each with its one algorithm, from the settings and from a JWKS file.

The server never fetches a key over the network. `access.keys` decides which of these keys verifies a token.
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

from hotclub.conf.values import suggest

HMAC: Final = ("HS256", "HS384", "HS512")
"""The algorithms with a shared secret (RFC 7518 §3.2)."""
ALGORITHMS: Final = (
    *HMAC,
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
STRONG_SECRET: Final = 32
"""The least bytes of a random secret that cannot be guessed."""
STRONG_RSA: Final = 2048
"""The least bits of a strong RSA key."""

TOKEN_FIELDS: Final = ("HMAC_SECRET", "KEYS", "JWKS_FILE", "AUDIENCE", "ISSUER", "LEEWAY")
KEY_FIELDS: Final = ("ALGORITHM", "KEY", "PRIVATE_KEY", "KID", "ISSUER")

_OF_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}


class BadKey(ValueError):
    """A key of the settings cannot be used. The text gives the reason and no part of the key."""


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
        """The reason why this key is too weak, "" for a strong key."""
        if self.algorithm in HMAC and len(self.public) < STRONG_SECRET:
            return f"a secret of {len(self.public)} bytes; use at least {STRONG_SECRET} random ones"
        if isinstance(self.public, RSAPublicKey) and self.public.key_size < STRONG_RSA:
            return f"an RSA key of {self.public.key_size} bits; use at least {STRONG_RSA}"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """The `TOKENS` setting. An empty `audience` or `issuer` is not checked. `leeway` is in seconds."""

    keys: tuple[Key, ...] = ()
    jwks_file: str = ""
    audience: tuple[str, ...] = ()
    issuer: tuple[str, ...] = ()
    leeway: float = 30.0

    def all_keys(self) -> tuple[Key, ...]:
        """Return the keys of the settings, then the keys of the JWKS file (RFC 7517). A changed file is read again.

        Raises:
            BadKey: the file cannot be used.
        """
        return self.keys + (_read_jwks(self.jwks_file, _stamp(self.jwks_file)) if self.jwks_file else ())


def token_settings(raw: Mapping[str, Any]) -> TokenSettings:
    """Convert a `TOKENS` dictionary.

    Raises:
        BadKey: a key in the dictionary cannot be used.
    """
    keys = []
    if raw.get("HMAC_SECRET"):
        keys.append(make_key({"ALGORITHM": "HS256", "KEY": raw["HMAC_SECRET"]}))
    keys += [make_key(entry) for entry in raw.get("KEYS", ())]
    return TokenSettings(
        keys=tuple(keys),
        jwks_file=os.fspath(raw.get("JWKS_FILE") or ""),
        audience=_several(raw.get("AUDIENCE")),
        issuer=_several(raw.get("ISSUER")),
        leeway=raw.get("LEEWAY", 30.0),
    )


def make_key(entry: Any) -> Key:
    """Convert one entry of `TOKENS["KEYS"]`.

    Args:
        entry: a dictionary with `ALGORITHM`, `KEY` or `PRIVATE_KEY` or both, and optionally `KID` and `ISSUER`.

    Raises:
        BadKey: the key cannot be used.
    """
    if not isinstance(entry, Mapping):
        raise BadKey("it is not a dictionary")
    for name in entry:
        if name not in KEY_FIELDS:
            raise BadKey(f"it has an unknown field {name!r}. {suggest(name, KEY_FIELDS)}")
    algorithm = entry.get("ALGORITHM")
    if algorithm not in ALGORITHMS:
        raise BadKey(f"its ALGORITHM is {algorithm!r}; use one of {', '.join(ALGORITHMS)}")
    names = {name.lower(): str(entry.get(name, "")) for name in ("KID", "ISSUER")}
    implementation = get_default_algorithms()[algorithm]
    public, private = entry.get("KEY"), entry.get("PRIVATE_KEY")
    try:
        if algorithm in HMAC:
            secret = implementation.prepare_key(public or private)
            return Key(algorithm, secret, secret, **names)
        signer = implementation.prepare_key(private) if private else None
        verifier = implementation.prepare_key(public) if public else None
    except (jwt.InvalidKeyError, TypeError, ValueError) as error:
        raise BadKey(f"it is not a key for {algorithm}: {error}") from None
    return Key(algorithm, _verifier(verifier, signer), signer, **names)


def _verifier(verifier: Any, signer: Any) -> Any:
    """The public half of a pair of keys, of which the settings hold one half or both.

    Raises:
        BadKey: the halves are swapped, or both are missing.
    """
    if signer is not None and not hasattr(signer, "private_bytes"):
        raise BadKey("its PRIVATE_KEY is a public key; write it as KEY")
    if hasattr(verifier, "private_bytes"):
        raise BadKey("its KEY is a private key; write it as PRIVATE_KEY")
    if verifier is None and signer is None:
        raise BadKey("it has neither KEY nor PRIVATE_KEY")
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
        raise BadKey("it holds a private key, which a file of public keys must not")
    return Key(algorithm, jwt.PyJWK(dict(entry), algorithm).key, kid=str(entry.get("kid", "")))


def _several(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else tuple(value or ())
