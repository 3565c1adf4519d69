"""Keys: one algorithm each, found by issuer and name, and refused when they are something else than they claim."""

import json
import os
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from hotclub.access.keys import signatures
from hotclub.conf.problems import token_problems
from hotclub.conf.token_keys import BadKey, TokenSettings, make_key, token_settings

STRONG = "s" * 32


def pem(key: Any) -> str:
    """The public half of a private key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    text: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return text.decode()


def private_pem(key: Any) -> str:
    form, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text: bytes = key.private_bytes(serialization.Encoding.PEM, form, no_password)
    return text.decode()


RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("PS384", RSA), ("ES256", EC), ("EdDSA", ED)])
def test_a_key_signs_and_verifies_with_its_algorithm(algorithm: str, key: Any) -> None:
    made = make_key({"algorithm": algorithm, "private_key": private_pem(key), "kid": "one"})
    verifier = make_key({"algorithm": algorithm, "key": pem(key)})

    token = signatures().encode(b"{}", made.private, algorithm=algorithm)

    assert signatures().decode(token, verifier.public, algorithms=[verifier.algorithm]) == b"{}"
    assert verifier.private is None


@pytest.mark.parametrize(
    "entry",
    [
        {"algorithm": "none", "key": "x"},
        {"algorithm": "HS256", "key": pem(RSA)},
        {"algorithm": "RS256", "key": STRONG},
        {"algorithm": "ES256", "key": pem(RSA)},
        {"algorithm": "RS256", "key": private_pem(RSA)},
        {"algorithm": "RS256", "private_key": pem(RSA)},
        {"algorithm": "RS256"},
        {"key": STRONG},
        "secret",
        None,
    ],
)
def test_what_is_no_key_is_refused_without_showing_it(entry: Any) -> None:
    with pytest.raises(BadKey) as refused:
        make_key(entry)
    assert STRONG not in str(refused.value)
    assert list(token_problems({"keys": [entry]}))


def test_short_secrets_and_keys_are_weak() -> None:
    assert make_key({"algorithm": "HS256", "key": "secret"}).weakness
    assert not make_key({"algorithm": "HS256", "key": STRONG}).weakness
    assert make_key({"algorithm": "RS256", "key": pem(rsa.generate_private_key(65537, 1024))}).weakness
    assert not make_key({"algorithm": "RS256", "key": pem(RSA)}).weakness


def test_a_key_is_chosen_by_issuer_and_name_together() -> None:
    entries = [
        {"algorithm": "HS256", "key": "a" * 32, "kid": "1", "issuer": "good"},
        {"algorithm": "HS256", "key": "b" * 32, "kid": "1", "issuer": "other"},
        {"algorithm": "HS256", "key": "c" * 32},
    ]
    settings = token_settings({"keys": entries})

    assert [key.public for key in settings.candidates("good", "1", "HS256")] == [b"a" * 32]
    assert [key.public for key in settings.candidates("other", "1", "HS256")] == [b"b" * 32]
    assert [key.public for key in settings.candidates("", "../../dev/null", "HS256")] == [b"c" * 32]
    assert settings.candidates("good", "1", "HS512") == ()


def test_previous_keys_stay_good_and_the_first_one_signs() -> None:
    settings = token_settings({"hmac_secret": "n" * 32, "keys": [{"algorithm": "HS256", "key": "o" * 32}]})

    assert [key.public for key in settings.candidates("", "", "HS256")] == [b"n" * 32, b"o" * 32]
    assert settings.signing_key().public == b"n" * 32
    with pytest.raises(BadKey):
        TokenSettings().signing_key()


def jwks(path: Path, *keys: Any) -> str:
    entries = [
        {**json.loads(jwt.get_algorithm_by_name(name).to_jwk(key.public_key())), "kid": kid} for name, key, kid in keys
    ]
    path.write_text(json.dumps({"keys": entries}))
    return str(path)


def test_a_key_set_is_read_from_a_file_and_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    settings = TokenSettings(jwks_file=jwks(path, ("RS256", RSA, "r"), ("ES256", EC, "e"), ("EdDSA", ED, "d")))
    assert {(key.kid, key.algorithm) for key in settings.all_keys()} == {("r", "RS256"), ("e", "ES256"), ("d", "EdDSA")}

    jwks(path, ("ES256", EC, "new"))
    os.utime(path, ns=(1, 1))

    assert [key.kid for key in settings.all_keys()] == ["new"]


@pytest.mark.parametrize("text", ["", "{}", '{"keys": []}', '{"keys": [{"kty": "RSA"}]}', '{"keys": [1]}'])
def test_a_broken_key_set_is_a_mistake_of_the_settings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)

    assert list(token_problems({"jwks_file": str(path)}))
    assert list(token_problems({"jwks_file": str(tmp_path / "missing.json")}))


def test_a_private_key_in_a_key_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    entry = json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(EC))
    path.write_text(json.dumps({"keys": [entry]}))

    with pytest.raises(BadKey, match="private"):
        TokenSettings(jwks_file=str(path)).all_keys()


@pytest.mark.parametrize(
    "raw", [[], {"hmac": "x"}, {}, {"hmac_secret": STRONG, "leeway": -1}, {"hmac_secret": STRONG, "keys": "x"}]
)
def test_mistakes_in_the_setting_are_found(raw: Any) -> None:
    assert list(token_problems(raw))


def test_a_good_setting_has_no_problems() -> None:
    assert list(token_problems(None)) == []
    assert list(token_problems({"hmac_secret": STRONG, "issuer": "me", "audience": ["a"], "leeway": 0})) == []
