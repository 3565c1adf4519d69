"""The `__all__` of the public modules is the whole public API, and every name in it is documented."""

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hotclub
import hotclub.maps
import hotclub.polls
import hotclub.tokens
from hotclub.conf.config import Config
from hotclub.conf.problems import SETTINGS
from hotclub.conf.values import Rate, RateLimits, ServerLimits
from hotclub.engine.limits import Limits

DOCS = Path(__file__).parents[1] / "docs" / "reference"

PUBLIC = {
    hotclub: {
        *("Channel", "MapChannel", "SharedPollChannel", "History", "Rate", "Welcome", "rpc", "Client"),
        *("ClientInfo", "Position", "Publication", "HistoryPage", "PresenceStats"),
        *("publish", "broadcast", "publish_to_user", "disconnect", "subscribe", "unsubscribe"),
        *("presence", "presence_stats", "history"),
        *("apublish", "abroadcast", "apublish_to_user", "adisconnect", "asubscribe", "aunsubscribe"),
        *("apresence", "apresence_stats", "ahistory"),
        *("HotclubError", "Refused", "Disconnect", "Code", "Close", "Unsubscribe", "Unsubscribed"),
        *("IdempotencyConflict", "UnrecoverablePosition", "NoNode", "NotMigrated", "__version__"),
    },
    hotclub.maps: {
        *("MapChannel", "MapEntry", "MapOutcome", "MapPage", "MapStats", "Suppressed"),
        *("map_publish", "map_remove", "map_clear", "map_state", "map_stats"),
        *("amap_publish", "amap_remove", "amap_clear", "amap_state", "amap_stats"),
    },
    hotclub.polls: {
        *("SharedPollChannel", "Polled", "PollResult", "sign_keys"),
        *("shared_poll_publish", "ashared_poll_publish"),
    },
    hotclub.tokens: {"connection_token", "subscription_token", "ticket", "aticket", "TokenUser"},
}
"""Adding a name is a promise, removing one breaks somebody: both are decided here, not by accident elsewhere."""

EVERY_NAME = [
    pytest.param(module, name, id=f"{module.__name__}.{name}")
    for module, names in PUBLIC.items()
    for name in sorted(names - {"__version__"})
]
PAIRS = [
    pytest.param(module, name, id=f"{module.__name__}.{name}")
    for module, names in PUBLIC.items()
    for name in sorted(names)
    if f"a{name}" in names
]


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_all_is_the_public_api(module: ModuleType) -> None:
    assert set(module.__all__) == PUBLIC[module]
    assert len(module.__all__) == len(PUBLIC[module])


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_no_other_name_looks_public(module: ModuleType) -> None:
    names = {
        name for name, value in vars(module).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert names == PUBLIC[module] - {"__version__"}


@pytest.mark.parametrize(("module", "name"), EVERY_NAME)
def test_a_public_name_has_a_docstring(module: ModuleType, name: str) -> None:
    assert inspect.getdoc(getattr(module, name))


@pytest.mark.parametrize(("module", "name"), EVERY_NAME)
def test_a_public_name_stands_in_the_reference(module: ModuleType, name: str) -> None:
    assert re.search(rf"^(### )?`(await )?{name}\b", (DOCS / "api.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("module", "name"), PAIRS)
def test_an_async_twin_takes_the_same_arguments(module: ModuleType, name: str) -> None:
    twin = getattr(module, f"a{name}")
    assert inspect.iscoroutinefunction(twin)
    assert inspect.signature(twin).parameters == inspect.signature(getattr(module, name)).parameters


def test_importing_hotclub_needs_no_settings_and_no_models() -> None:
    names = ", ".join(module.__name__ for module in PUBLIC)
    code = f"import {names}, hotclub.engine.node; from django.apps import apps; assert not apps.ready"
    environment = {"PYTHONPATH": str(Path(hotclub.__file__).parents[1]), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


LISTS = ("ALLOWED_ORIGINS", "TRUSTED_PROXIES", "API_KEYS")


def documented_defaults() -> dict[str, str]:
    """Key → default of every row of the settings reference; a row may hold several keys."""
    found: dict[str, str] = {}
    for row in re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", (DOCS / "settings.md").read_text(), re.MULTILINE):
        keys, defaults = (re.findall(r"`([^`]+)`", cell) for cell in row)
        found.update(zip(keys, defaults, strict=True))
    return found


def test_the_settings_reference_lists_every_key_with_its_default() -> None:
    defaults = {field.name.upper(): getattr(Config(), field.name) for field in dataclasses.fields(Config)}
    assert set(defaults) == set(SETTINGS)
    limits = {field.name.upper(): getattr(Limits(), field.name) for field in dataclasses.fields(Limits)}
    rates = {
        field.name.upper(): dataclasses.astuple(rate)
        if isinstance(rate := getattr(RateLimits(), field.name), Rate)
        else rate
        for field in dataclasses.fields(RateLimits)
    }
    server = {field.name.upper(): getattr(ServerLimits(), field.name) for field in dataclasses.fields(ServerLimits)}
    documented = {key: ast.literal_eval(value) for key, value in documented_defaults().items()}
    assert documented == {
        **defaults,
        **limits,
        **rates,
        **server,
        "LIMITS": {},
        "RATES": {},
        "SERVER": {},
        **{key: [] for key in LISTS},
    }
