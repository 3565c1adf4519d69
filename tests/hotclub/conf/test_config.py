"""The HOTCLUB dictionary."""

import dataclasses
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from hotclub.conf.config import Config, get_config
from hotclub.conf.problems import SETTINGS, problems
from hotclub.conf.token_keys import TOKEN_FIELDS
from hotclub.conf.values import API_KEY_FIELDS


def test_without_the_setting_everything_has_its_default() -> None:
    with override_settings(HOTCLUB={}):
        assert get_config() == Config()


def test_every_setting_has_a_field_and_every_field_a_setting() -> None:
    assert {name.lower() for name in SETTINGS} == {field.name for field in dataclasses.fields(Config)}


def test_the_defaults_are_no_mistakes() -> None:
    values = {name: getattr(Config(), name.lower()) for name in SETTINGS}
    values["LIMITS"] = {name.upper(): limit for name, limit in dataclasses.asdict(Config().limits).items()}
    values["RATES"] = {}
    values["SERVER"] = {name.upper(): limit for name, limit in dataclasses.asdict(Config().server).items()}

    assert list(problems(values)) == []


def test_the_configuration_is_read_once_and_anew_when_settings_change() -> None:
    with override_settings(HOTCLUB={"THREADS": 3, "LIMITS": {"DEPTH": 4}, "ALLOWED_ORIGINS": ["https://a.example"]}):
        config = get_config()
        assert config is get_config()
        assert (config.threads, config.limits.depth, config.allowed_origins) == (3, 4, ("https://a.example",))
    assert get_config().threads == 8


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("connection/", "/connection/websocket"),
        ("/live", "/live/websocket"),
        ("a/b/", "/a/b/websocket"),
        ("", "/websocket"),
    ],
)
def test_the_path_of_the_endpoint(path: str, expected: str) -> None:
    assert Config(path=path).websocket_path == expected


@pytest.mark.parametrize(
    ("value", "check"),
    [
        ([], "E001"),
        ({"ENGNE": "memory://"}, "E002"),
        ({"ENGINE": "memory"}, "E003"),
        ({"ENGINE": 3}, "E003"),
        ({"ENGINE": "memory://host"}, "E003"),
        ({"ENGINE": "carrier-pigeon://"}, "E004"),
        ({"ALLOWED_ORIGINS": "https://a.example"}, "E007"),
        ({"ALLOWED_ORIGINS": ["a.example"]}, "E005"),
        ({"ALLOWED_ORIGINS": ["https://a.example/"]}, "E005"),
        ({"ALLOWED_ORIGINS": ["https://a.example/path"]}, "E005"),
        ({"ALLOWED_ORIGINS": ["*"]}, "E005"),
        ({"ALLOWED_ORIGINS": ["https://*.example"]}, "E005"),
        ({"ALLOWED_ORIGINS": ["NULL"]}, "E005"),
        ({"LIMITS": {"CHANNEL_BYTES": 256}}, "E006"),
        ({"ALLOWED_ORIGINS": [3]}, "E005"),
        ({"LIMITS": []}, "E006"),
        ({"LIMITS": {"MESSAGE_BITES": 1}}, "E006"),
        ({"LIMITS": {"MESSAGE_BYTES": 0}}, "E006"),
        ({"LIMITS": {"MESSAGE_BYTES": 1.5}}, "E006"),
        ({"LIMITS": {"PING_INTERVAL": float("nan")}}, "E006"),
        ({"LIMITS": {"PING_INTERVAL": True}}, "E006"),
        ({"LIMITS": {"PONG_TIMEOUT": 30}}, "E006"),
        ({"LIMITS": {"PRESENCE_REFRESH": 90}}, "E006"),
        ({"LIMITS": {"MESSAGE_BYTES": 2_000_000}}, "E006"),
        ({"PATH": 3}, "E007"),
        ({"ON_CONNECT": "hook"}, "E007"),
        ({"ON_DISCONNECT": 3}, "E007"),
        ({"ALLOW_ANONYMOUS": "yes"}, "E007"),
        ({"THREADS": 0}, "E007"),
        ({"THREADS": 2.5}, "E007"),
        ({"PERSONAL_CHANNEL": 1}, "E007"),
        ({"PERSONAL_HISTORY": 100}, "E007"),
        ({"PERSONAL_HISTORY": (0, 600)}, "E007"),
        ({"PERSONAL_HISTORY": (100, 0)}, "E007"),
        ({"RELAY_INTERVAL": 0}, "E007"),
        ({"PRUNE_INTERVAL": "60"}, "E007"),
        ({"LOGIN_CHECK": -1}, "E007"),
        ({"DATABASE": "elsewhere"}, "E007"),
        ({"API_KEYS": [{"KEY": "k" * 40, "METHODS": ["publihs"]}]}, "E009"),
        ({"API_KEYS": [{"KEY": "k" * 40, "METHODS": ["openapi.json"]}]}, "E009"),
        ({"API_KEYS": [{"KEY": "k" * 40, "NAME": 5}]}, "E009"),
        ({"API_KEYS": [{"KEY": "k" * 40, "NAME": ""}]}, "E009"),
        ({"API_KEYS": ["sha256:zz"]}, "E009"),
        ({"API_KEYS": ["sha256:"]}, "E009"),
        ({"API_KEYS": ["sha256:" + "0" * 63]}, "E009"),
        ({"API_KEYS": ["k" * 40, {"KEY": "k" * 40, "CHANNELS": ["a"]}]}, "E009"),
        ({"TOKENS": {"HMAC_SECRET": "s" * 40, "AUDIENCE": 5}}, "E009"),
        ({"TOKENS": {"HMAC_SECRET": "s" * 40, "AUDIENCE": ["us", 5]}}, "E009"),
        ({"TOKENS": {"HMAC_SECRET": "s" * 40, "ISSUER": {"us": 1}}}, "E009"),
        ({"LIMITS": {"MESSAGE_BYTES": 10**400}}, "E006"),
        ({"LOGIN_CHECK": 10**400}, "E007"),
    ],
)
def test_a_mistake_is_found_says_what_to_do_and_stops_the_start(value: Any, check: str) -> None:
    [problem] = problems(value)

    assert problem.check == check
    assert problem.hint
    with override_settings(HOTCLUB=value), pytest.raises(ImproperlyConfigured, match="HOTCLUB"):
        get_config()


ODD: list[Any] = [5, -1, 1.5, True, None, "", "x", b"x", "\ud83d", 10**400, float("nan"), [], [5], [[]], {}, {5: 5}]
"""Values that some setting does not expect."""
FIELDS = {
    "TOKENS": (*TOKEN_FIELDS,),
    "LIMITS": ("MESSAGE_BYTES", "PONG_TIMEOUT"),
    "RATES": ("CONNECTS", "CONNECTIONS_PER_USER"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_value_of_any_type_is_read_or_is_a_mistake(name: str) -> None:
    inner = [{field: odd} for field in FIELDS.get(name, ()) for odd in ODD]
    if name == "API_KEYS":
        inner = [[{"KEY": "k" * 40, field: odd}] for field in API_KEY_FIELDS for odd in ODD]  # type: ignore[misc]
    for value in (*ODD, *inner):
        found = list(problems({name: value}))
        with override_settings(HOTCLUB={name: value}):
            if found:
                with pytest.raises(ImproperlyConfigured):
                    get_config()
            else:
                get_config()


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ({"engine": "memory://"}, "'ENGINE'"),
        ({"ALOW_ANONYMOUS": True}, "'ALLOW_ANONYMOUS'"),
        ({"LIMITS": {"message_bytes": 1}}, "'MESSAGE_BYTES'"),
        ({"RATES": {"connects_per_address": (1, 1)}}, "'CONNECTS_PER_ADDRESS'"),
        ({"API_KEYS": [{"key": "k" * 40}]}, "'KEY'"),
        ({"TOKENS": {"HMAC_SECRET": "s" * 40, "audience": "us"}}, "'AUDIENCE'"),
        ({"TOKENS": {"KEYS": [{"algorithm": "HS256", "KEY": "s" * 40}]}}, "'ALGORITHM'"),
    ],
)
def test_a_key_in_lower_case_or_misspelt_is_answered_with_the_right_one(value: Any, right: str) -> None:
    [problem] = problems(value)

    assert right in f"{problem.message} {problem.hint}"


def test_all_mistakes_are_found_at_once() -> None:
    assert [problem.check for problem in problems({"A": 1, "THREADS": 0, "ENGINE": ""})] == ["E002", "E007", "E003"]
