"""The Django app itself."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.test import override_settings

from hotclub.channels.registry import get_registry

CHANNELS = """
from hotclub import Channel, rpc

class Base(Channel, abstract=True):
    pass

class Room(Base):
    pattern = "room:<int:number>"

    def can_subscribe(self, client, number):
        return True

@rpc("ping")
def ping(client):
    return "pong"
"""

PROGRAM = """
import django
from django.conf import settings
import hotclub, hotclub.asgi  # before the apps are ready
settings.configure(
    INSTALLED_APPS=[
        *(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions")), "band", "quiet", "hotclub"
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
from hotclub.channels.registry import get_registry
registry = get_registry()
print(registry.resolve("room:3").kwargs["number"], registry.resolve("base"), *registry.procedures)
"""


def test_channels_of_installed_apps_are_found_wherever_hotclub_stands(tmp_path: Path) -> None:
    for name, channels in (("band", CHANNELS), ("quiet", "CHANNELS = ['unrelated']\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "channels.py").write_text(channels)
    path = [str(tmp_path), *sys.path]

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={"PYTHONPATH": ":".join(path)}, capture_output=True, text=True, check=False
    )

    assert (done.stdout.split(), done.stderr) == (["3", "None", "ping"], "")


def test_the_registry_follows_the_settings() -> None:
    before = get_registry()
    with override_settings(HOTCLUB={"PERSONAL_CHANNEL": False}):
        assert get_registry().resolve("#1") is None
    assert get_registry() is not before
    assert get_registry().resolve("#1") is not None


@pytest.mark.parametrize("attribute", ["verbose_name", "default_auto_field"])
def test_the_app_says_what_django_wants_to_know(attribute: str) -> None:
    config: Any = apps.get_app_config("hotclub")

    assert str(getattr(config, attribute))
