"""What history, presence and maps hand to Python code: decoded JSON, and the bytes for who asks."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from msgspec import Raw

import hotclub
import hotclub.maps
from hotclub import Client, Publication
from hotclub.engine import model
from hotclub.testing import HotclubClient

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


class Kept(hotclub.Channel):
    pattern = "kept:<str:name>"
    history = hotclub.History(size=10, ttl=MINUTE)
    presence = True

    def can_subscribe(self, client: Client, name: str) -> bool:
        return True

    def on_publish(self, client: Client, data: object, name: str) -> object:
        return data

    def channel_info(self, client: Client, name: str) -> object:
        return ["guitar"]


class Durable(Kept):
    pattern = "durable:<str:name>"
    history = hotclub.History(size=10, ttl=MINUTE, durable=True)


class Board(hotclub.MapChannel):
    pattern = "board"
    history = hotclub.History(size=10, ttl=MINUTE)

    def can_subscribe(self, client: Client) -> bool:
        return True


@pytest.fixture(autouse=True)
def channels(declare: Callable[..., None], hotclub_settings: Callable[..., None]) -> None:
    declare(Kept, Durable, Board)
    hotclub_settings(ALLOW_ANONYMOUS=True)


@pytest.mark.parametrize("channel", ["kept:a", "durable:a"])
async def test_history_is_decoded_and_names_the_publisher(channel: str) -> None:
    async with HotclubClient().connect() as c:
        await c.subscribe(channel)
        await c.publish(channel, {"text": "hello"})

        for page in (await hotclub.ahistory(channel), await sync_to_async(hotclub.history)(channel)):
            (publication,) = page.publications
            assert publication.data["text"] == "hello"
            assert publication.raw == b'{"text":"hello"}'
            assert publication.info is not None
            assert (publication.info.client, publication.info.chan_info) == (c.id, ["guitar"])


async def test_presence_is_decoded() -> None:
    async with HotclubClient().connect() as c:
        await c.subscribe("kept:a")
        for members in (await hotclub.apresence("kept:a"), await sync_to_async(hotclub.presence)("kept:a")):
            assert members[c.id].chan_info == ["guitar"]
            assert members[c.id].raw_chan_info == b'["guitar"]'
            assert (members[c.id].conn_info, members[c.id].raw_conn_info) == (None, b"")


async def test_entries_of_a_map_are_decoded() -> None:
    async with HotclubClient():
        await hotclub.maps.amap_publish("board", "k", {"n": 1})
        lost = await hotclub.maps.amap_publish("board", "k", 2, expected=hotclub.Position("", 9))
        assert lost is not None
        assert lost.current is not None
        assert lost.current.data == {"n": 1}
        for page in (await hotclub.maps.amap_state("board"), await sync_to_async(hotclub.maps.map_state)("board")):
            assert {entry.key: entry.data for entry in page.entries} == {"k": {"n": 1}}


async def test_a_null_is_told_from_nothing_by_its_bytes() -> None:
    async with HotclubClient():
        await hotclub.apublish("kept:a", None)
        (null,) = (await hotclub.ahistory("kept:a")).publications
    nothing = Publication.of(model.Publication(key="k", removed=True))
    assert (null.data, null.raw) == (None, b"null")
    assert (nothing.data, nothing.raw) == (None, b"")


def test_bytes_that_are_not_json_are_handed_over_as_they_are() -> None:
    assert Publication.of(model.Publication(data=Raw(b"\x00\xff"), binary=True)).data == b"\x00\xff"


def test_a_result_is_decoded_once_and_cannot_be_changed() -> None:
    publication = Publication(raw=b'{"a": 1}')
    assert publication.data is publication.data
    with pytest.raises(dataclasses.FrozenInstanceError):
        publication.raw = b""  # type: ignore[misc]
