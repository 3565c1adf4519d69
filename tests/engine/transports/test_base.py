"""Session secrets, the crowd of the unknown, and lines to peers that do not read."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.node import Node
from hotclub.engine.port import Handshake
from hotclub.engine.transports.base import counted, is_issued, issue_secret
from hotclub.engine.transports.entrance import Crowded
from hotclub.engine.transports.websocket import MessageLine
from tests.engine.support import Club, ClubApplication


def node(key: bytes) -> Node:
    return Node(ClubApplication().bundle, key=key)


def test_a_secret_proves_which_node_of_the_site_made_it() -> None:
    here, there, foreign = node(b"site"), node(b"site"), node(b"another")
    secret = issue_secret(here)
    assert is_issued(here, here.id, secret)
    assert is_issued(there, here.id, secret), "every node of the site can tell"
    assert not is_issued(here, there.id, secret), "but not for another node"
    assert not is_issued(foreign, here.id, secret)
    assert not is_issued(foreign, foreign.id, secret)
    assert issue_secret(here) != secret
    assert len(secret.partition(".")[0]) == 24


@pytest.mark.parametrize(
    "forge",
    [
        lambda secret: "",
        lambda secret: ".",
        lambda secret: secret[:-1],
        lambda secret: secret + "0",
        lambda secret: secret.replace(".", ""),
        lambda secret: "x" + secret,
        lambda secret: secret.partition(".")[0],
        lambda secret: secret.partition(".")[0] + ".",
        lambda secret: secret.upper(),
        lambda secret: "ü.ÿ\x00",
        lambda secret: "\n" + secret,
    ],
)
def test_a_forged_secret_is_none(forge: Any) -> None:
    here = node(b"site")
    assert not is_issued(here, here.id, forge(issue_secret(here)))


def test_the_fields_of_a_secret_do_not_run_into_each_other() -> None:
    here = node(b"site")
    token, _, proof = issue_secret(here).partition(".")
    assert not is_issued(here, "", f"{here.id}\n{token}.{proof}")
    assert not is_issued(here, f"{here.id}\n{token}", f".{proof}")


def test_a_transport_is_counted_while_it_is_open_and_waits_in_the_entrance() -> None:
    host = Node(ClubApplication().bundle, limits=Limits(unauthenticated_connections=2))
    with counted(host, Handshake()), counted(host, Handshake()):
        with pytest.raises(Crowded), counted(host, Handshake()):
            pass
        assert (host.entrance.transports, len(host.entrance)) == (2, 2)
    assert (host.entrance.transports, host.counters.connections, len(host.entrance)) == (0, 2, 0)


class Peer:
    """Takes what it is sent when it likes."""

    def __init__(self) -> None:
        self.taken: list[MutableMapping[str, Any]] = []
        self.reads = asyncio.Event()
        self.fails = False

    async def send(self, event: MutableMapping[str, Any]) -> None:
        await self.reads.wait()
        if self.fails:
            raise OSError("gone")
        self.taken.append(event)


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def line(club: Club, peer: Peer) -> MessageLine:
    return MessageLine(peer.send, club.node.encoders.json_messages, 0.05)


async def test_a_line_counts_what_its_peer_has_not_taken(line: MessageLine, peer: Peer) -> None:
    line.write([b"12", b"345"])
    assert line.buffered() == 5
    line.write([b"6"])
    line.close(Disconnect(3503))
    assert line.buffered() == 6
    peer.reads.set()
    await line.ended.wait()
    assert line.buffered() == 0
    assert peer.taken == [
        {"type": "websocket.send", "text": "12\n345\n6"},
        {"type": "websocket.close", "code": 3503, "reason": "force disconnect"},
    ]


async def test_a_peer_that_takes_nothing_is_waited_for_only_so_long(line: MessageLine, peer: Peer) -> None:
    line.write([b"1"])
    line.close(Disconnect(3008))
    async with asyncio.timeout(2):
        await line.ended.wait()
        await line.stop()
    assert peer.taken == []


async def test_a_peer_that_is_gone_ends_the_line(line: MessageLine, peer: Peer) -> None:
    peer.fails = True
    peer.reads.set()
    line.write([b"1"])
    async with asyncio.timeout(2):
        await line.ended.wait()
    await line.stop()


async def test_a_conversation_is_cut_off_when_its_line_ends(line: MessageLine) -> None:
    undone = asyncio.Event()

    async def talk() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            undone.set()

    line.ended.set()
    async with asyncio.timeout(2):
        await line.until_ended(talk())
    assert undone.is_set()


async def test_what_goes_wrong_in_a_conversation_is_raised(line: MessageLine) -> None:
    async def talk() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await line.until_ended(talk())
