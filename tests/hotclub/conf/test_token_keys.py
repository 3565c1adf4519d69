"""Keys: one algorithm each, found by issuer and name, and refused when they are something else than they claim."""

import json
import os
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from hotclub.access.keys import candidates, signatures, signing_key
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
    made = make_key({"ALGORITHM": algorithm, "PRIVATE_KEY": private_pem(key), "KID": "one"})
    verifier = make_key({"ALGORITHM": algorithm, "KEY": pem(key)})

    token = signatures().encode(b"{}", made.private, algorithm=algorithm)

    assert signatures().decode(token, verifier.public, algorithms=[verifier.algorithm]) == b"{}"
    assert verifier.private is None


@pytest.mark.parametrize(
    "entry",
    [
        {"ALGORITHM": "none", "KEY": "x"},
        {"ALGORITHM": "HS256", "KEY": pem(RSA)},
        {"ALGORITHM": "RS256", "KEY": STRONG},
        {"ALGORITHM": "ES256", "KEY": pem(RSA)},
        {"ALGORITHM": "RS256", "KEY": private_pem(RSA)},
        {"ALGORITHM": "RS256", "PRIVATE_KEY": pem(RSA)},
        {"ALGORITHM": "RS256"},
        {"KEY": STRONG},
        "secret",
        None,
    ],
)
def test_what_is_no_key_is_refused_without_showing_it(entry: Any) -> None:
    with pytest.raises(BadKey) as refused:
        make_key(entry)
    assert STRONG not in str(refused.value)
    assert list(token_problems({"KEYS": [entry]}))


def test_short_secrets_and_keys_are_weak() -> None:
    assert make_key({"ALGORITHM": "HS256", "KEY": "secret"}).weakness
    assert not make_key({"ALGORITHM": "HS256", "KEY": STRONG}).weakness
    assert make_key({"ALGORITHM": "RS256", "KEY": pem(rsa.generate_private_key(65537, 1024))}).weakness
    assert not make_key({"ALGORITHM": "RS256", "KEY": pem(RSA)}).weakness


def test_a_key_is_chosen_by_issuer_and_name_together() -> None:
    entries = [
        {"ALGORITHM": "HS256", "KEY": "a" * 32, "KID": "1", "ISSUER": "good"},
        {"ALGORITHM": "HS256", "KEY": "b" * 32, "KID": "1", "ISSUER": "other"},
        {"ALGORITHM": "HS256", "KEY": "c" * 32},
    ]
    settings = token_settings({"KEYS": entries})

    assert [key.public for key in candidates(settings, "good", "1", "HS256")] == [b"a" * 32]
    assert [key.public for key in candidates(settings, "other", "1", "HS256")] == [b"b" * 32]
    assert [key.public for key in candidates(settings, "", "../../dev/null", "HS256")] == [b"c" * 32]
    assert candidates(settings, "good", "1", "HS512") == ()


def test_previous_keys_stay_good_and_the_first_one_signs() -> None:
    settings = token_settings({"HMAC_SECRET": "n" * 32, "KEYS": [{"ALGORITHM": "HS256", "KEY": "o" * 32}]})

    assert [key.public for key in candidates(settings, "", "", "HS256")] == [b"n" * 32, b"o" * 32]
    assert signing_key(settings).public == b"n" * 32
    with pytest.raises(BadKey):
        signing_key(TokenSettings())


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

    assert list(token_problems({"JWKS_FILE": str(path)}))
    assert list(token_problems({"JWKS_FILE": str(tmp_path / "missing.json")}))


def test_a_private_key_in_a_key_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    entry = json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(EC))
    path.write_text(json.dumps({"keys": [entry]}))

    with pytest.raises(BadKey, match="private"):
        TokenSettings(jwks_file=str(path)).all_keys()


@pytest.mark.parametrize(
    "raw", [[], {"hmac": "x"}, {}, {"HMAC_SECRET": STRONG, "LEEWAY": -1}, {"HMAC_SECRET": STRONG, "KEYS": "x"}]
)
def test_mistakes_in_the_setting_are_found(raw: Any) -> None:
    assert list(token_problems(raw))


def test_a_good_setting_has_no_problems() -> None:
    assert list(token_problems(None)) == []
    assert list(token_problems({"HMAC_SECRET": STRONG, "ISSUER": "me", "AUDIENCE": ["a"], "LEEWAY": 0})) == []
