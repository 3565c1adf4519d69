"""The real site with people and rooms in it, and the way a signed-in person connects to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from tests.support.processes import Server

PASSWORD: Final = "correct horse battery"

_POPULATE: Final = """
import json
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import make_password
from clubhouse.accounts.models import User
from clubhouse.chat import services

store = import_module(settings.SESSION_ENGINE).SessionStore
wanted = json.loads({wanted!r})
password = make_password({password!r}, hasher="pbkdf2_sha256")
people = {{}}
for name in wanted["people"]:
    user = User.objects.create(username=name.lower(), display_name=name, password=password)
    session = store()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    people[name] = {{"id": str(user.pk), "session": session.session_key}}
members = [User.objects.get(username=name.lower()) for name in wanted["members"]]
rooms = {{}}
for name in wanted["rooms"]:
    room = services.create_room(members[0], name)
    for member in members[1:]:
        services.join_room(member, room)
    rooms[name] = room.pk
print(json.dumps({{"people": people, "rooms": rooms}}))
"""


@dataclass(frozen=True)
class Person:
    id: str
    name: str
    session: str

    def headers(self, port: int) -> dict[str, str]:
        """The headers that sign a handshake with this port in as this person."""
        return {"Cookie": f"sessionid={self.session}", "Origin": f"http://127.0.0.1:{port}"}


@dataclass(frozen=True)
class Site:
    """A running server's people and rooms, by name."""

    server: Server
    people: Mapping[str, Person]
    rooms: Mapping[str, int]

    def channel(self, room: str) -> str:
        return f"chat:{self.rooms[room]}"


def prepare(directory: Path) -> Path:
    """Make a data directory with empty tables."""
    directory.mkdir(parents=True)
    Server(directory).copy_tables()
    return directory


def populate(
    server: Server,
    *,
    people: tuple[str, ...] = ("Alice", "Bob"),
    members: tuple[str, ...] | None = None,
    rooms: tuple[str, ...] = ("Lobby",),
) -> Site:
    """Give a migrated site people, who are signed in, and rooms, which all `members` (or else all people) are in."""
    wanted = json.dumps({"people": people, "members": people if members is None else members, "rooms": rooms})
    made = json.loads(server.shell(_POPULATE.format(wanted=wanted, password=PASSWORD)))
    persons = {name: Person(name=name, **fields) for name, fields in made["people"].items()}
    return Site(server, persons, made["rooms"])


def draft(text: str, client_id: str | None = None) -> dict[str, Any]:
    """The data of a client's chat message."""
    return {"id": client_id or str(uuid4()), "text": text}
