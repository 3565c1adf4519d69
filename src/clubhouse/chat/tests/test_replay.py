"""The promise of `clubhouse.chat.services`: a snapshot plus the events after it equals a new snapshot.

Hypothesis makes up sequences of all actions, also inside transactions that are rolled back.
"""

from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hotclub
from clubhouse.accounts.models import User
from clubhouse.chat import queries, services
from clubhouse.chat.errors import ChatError
from clubhouse.chat.models import Room

_numbers = count()

ACTIONS = st.lists(
    st.tuples(st.sampled_from(["join", "leave", "post", "repeat", "read", "rollback"]), st.integers(0, 2)), max_size=12
)


class _Scene:
    """A room with a watcher, and three people who act in it."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.watcher, *self.people = [User.objects.create(username=f"{name}{number}") for name in "wabc"]
        self.room: Room = services.create_room(self.watcher, f"Room {number}")
        self.last_id: UUID = uuid4()

    def act(self, action: str, who: int) -> None:
        user = self.people[who]
        actions: dict[str, Callable[[], object]] = {
            "join": lambda: services.join_room(user, self.room),
            "leave": lambda: services.leave_room(user, self.room),
            "post": lambda: self._post(user, uuid4()),
            "repeat": lambda: self._post(user, self.last_id),
            "read": lambda: services.mark_read(self.room.pk, user, 5),
            "rollback": lambda: self._rolled_back(user),
        }
        try:
            actions[action]()
        except ChatError:
            return

    def _post(self, user: User, client_id: UUID) -> None:
        self.last_id = client_id
        services.post_message(self.room.pk, user, client_id, "text")

    def _rolled_back(self, user: User) -> None:
        with transaction.atomic():
            services.join_room(user, self.room)
            services.post_message(self.room.pk, user, uuid4(), "never said")
            transaction.set_rollback(True)


def _apply(data: dict[str, Any], publication: hotclub.Publication) -> None:
    """What a page does with an event."""
    event: dict[str, Any] = publication.data
    data["offset"] = publication.offset
    if event["type"] == "message":
        data["messages"].append({**event["message"], "offset": publication.offset})
        return
    data["members"] = [member for member in data["members"] if member["id"] != event["user"]["id"]]
    if event["action"] == "joined":
        data["members"].append(event["user"])


@pytest.mark.usefixtures("node")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=ACTIONS, after=ACTIONS)
def test_a_snapshot_and_the_events_after_it_are_a_fresh_snapshot(before: list[Any], after: list[Any]) -> None:
    scene = _Scene()
    for action in before:
        scene.act(*action)
    data: dict[str, Any] = {**queries.snapshot(scene.room, scene.watcher)}
    for action in after:
        scene.act(*action)
    since = hotclub.Position(epoch=data["epoch"], offset=data["offset"])
    for publication in hotclub.history(scene.room.channel, since=since, limit=-1).publications:
        _apply(data, publication)
    assert data == queries.snapshot(scene.room, scene.watcher)


@pytest.mark.usefixtures("node")
def test_a_message_after_the_position_is_left_to_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = _Scene()
    services.post_message(scene.room.pk, scene.watcher, uuid4(), "before")
    read = hotclub.history

    def meanwhile(*args: Any, **kwargs: Any) -> hotclub.HistoryPage:
        page = read(*args, **kwargs)
        services.post_message(scene.room.pk, scene.watcher, uuid4(), "meanwhile")
        return page

    monkeypatch.setattr(hotclub, "history", meanwhile)
    data = queries.snapshot(scene.room, scene.watcher)
    assert [message["text"] for message in data["messages"]] == ["before"]
    assert data["offset"] == data["messages"][-1]["offset"]
