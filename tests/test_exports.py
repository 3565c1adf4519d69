"""`hotclub.__all__` is the public API, whole: nothing else is public, and all of it is documented."""

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
from hotclub.conf.config import Config
from hotclub.conf.problems import SETTINGS
from hotclub.conf.values import Rate, RateLimits
from hotclub.engine.limits import Limits

DOCS = Path(__file__).parents[1] / "docs" / "reference"

PUBLIC = {
    *("Channel", "History", "Rate", "Welcome", "rpc", "Client", "TokenUser"),
    *("ClientInfo", "Position", "Publication", "HistoryPage", "PresenceStats"),
    *("publish", "broadcast", "publish_to_user", "disconnect", "subscribe", "unsubscribe"),
    *("MapChannel", "MapEntry", "SharedPollChannel", "Polled", "PollResult", "sign_keys"),
    *("shared_poll_publish", "ashared_poll_publish"),
    *("map_publish", "map_remove", "map_clear", "map_state", "map_stats"),
    *("amap_publish", "amap_remove", "amap_clear", "amap_state", "amap_stats"),
    *("MapOutcome", "MapPage", "MapStats", "Suppressed"),
    *("connection_token", "subscription_token", "ticket", "aticket"),
    *("presence", "presence_stats", "history"),
    *("apublish", "abroadcast", "apublish_to_user", "adisconnect", "asubscribe", "aunsubscribe"),
    *("apresence", "apresence_stats", "ahistory"),
    *("HotclubError", "Refused", "Disconnect", "Code", "Close", "Unsubscribe", "Unsubscribed"),
    *("IdempotencyConflict", "UnrecoverablePosition", "NoNode", "__version__"),
}
"""Adding a name is a promise, removing one breaks somebody: both are decided here, not by accident elsewhere."""

FUNCTIONS = sorted(name for name in PUBLIC if inspect.isfunction(getattr(hotclub, name)))
DOCUMENTED = sorted(PUBLIC - {"__version__"})


def test_all_is_the_public_api() -> None:
    assert set(hotclub.__all__) == PUBLIC
    assert len(hotclub.__all__) == len(PUBLIC)


def test_no_other_name_looks_public() -> None:
    names = {
        name for name, value in vars(hotclub).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert names == PUBLIC - {"__version__"}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_public_name_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(hotclub, name))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_public_name_stands_in_the_reference(name: str) -> None:
    assert re.search(rf"^\| (`\w+`, )*`(await )?{name}\b", (DOCS / "api.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if f"a{name}" in PUBLIC])
def test_an_async_twin_takes_the_same_arguments(name: str) -> None:
    twin = getattr(hotclub, f"a{name}")
    assert inspect.iscoroutinefunction(twin)
    assert inspect.signature(twin).parameters == inspect.signature(getattr(hotclub, name)).parameters


def test_importing_hotclub_needs_no_settings_and_no_models() -> None:
    code = "import hotclub, hotclub.engine.node; from django.apps import apps; assert not apps.ready"
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
    limits = {field.name: getattr(Limits(), field.name) for field in dataclasses.fields(Limits)}
    rates = {
        field.name: dataclasses.astuple(rate) if isinstance(rate := getattr(RateLimits(), field.name), Rate) else rate
        for field in dataclasses.fields(RateLimits)
    }
    documented = {key: ast.literal_eval(value) for key, value in documented_defaults().items()}
    assert documented == {**defaults, **limits, **rates, "LIMITS": {}, "RATES": {}, **{key: [] for key in LISTS}}
