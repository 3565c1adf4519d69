"""What a client can ask of a channel: publishing, history, presence, and procedures (protocol §2.4 to §2.7)."""

import centrifuge
import pytest
from centrifuge import StreamPosition

from tests.conformance.conftest import Conformance, token
from tests.conformance.pypi.conftest import Connect
from tests.support.pypi import PypiClient


async def test_a_publication_comes_back_with_its_place_and_its_publisher(
    client: PypiClient, name: str, user: str
) -> None:
    subscription = await client.subscribe(name)
    for number in range(3):
        await subscription.publish(client.pack({"n": number + 0.5, "text": "你好"}))
    await client.event("publication", name, number=3)
    assert client.received(name) == [{"n": number + 0.5, "text": "你好"} for number in range(3)]
    publications = [context.pub for context in client.contexts("publication", name)]
    assert [publication.offset for publication in publications] == [1, 2, 3]
    info = publications[0].info
    assert (info.user, info.client, client.unpack(info.conn_info)) == (user, client.sdk.client_id, {"name": "Ann"})


async def test_publishing_needs_no_subscription(client: PypiClient, connect: Connect, name: str) -> None:
    reader = await connect()
    await reader.subscribe(name)
    await client.sdk.publish(name, client.pack("from outside"))
    await reader.event("publication", name)
    assert reader.received(name) == ["from outside"]


async def test_tags_arrive(conformance: Conformance, client: PypiClient, name: str) -> None:
    await client.subscribe(name)
    await conformance.publish(name, 1, tags={"kind": "进球"})
    assert (await client.event("publication", name)).pub.tags == {"kind": "进球"}


async def test_what_skips_the_history_has_no_offset(conformance: Conformance, client: PypiClient, name: str) -> None:
    subscription = await client.subscribe(name)
    await conformance.publish(name, "passing", skip_history=True)
    await conformance.publish(name, "kept")
    await client.event("publication", name, number=2)
    offsets = [context.pub.offset for context in client.contexts("publication", name)]
    assert (client.received(name), offsets) == (["passing", "kept"], [0, 1])
    assert len((await subscription.history(limit=-1)).publications) == 1


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, []),
        ({"limit": -1}, [1, 2, 3, 4, 5]),
        ({"limit": 2}, [1, 2]),
        ({"limit": 2, "reverse": True}, [5, 4]),
        ({"limit": -1, "since": 2}, [3, 4, 5]),
        ({"limit": 1, "since": 2}, [3]),
        ({"limit": -1, "since": 3, "reverse": True}, [2, 1]),
        ({"limit": -1, "since": 5}, []),
    ],
    ids=str,
)
async def test_history(
    conformance: Conformance, client: PypiClient, name: str, options: dict[str, int], found: list[int]
) -> None:
    subscription = await client.subscribe(name)
    await conformance.publish_all(name, [1, 2, 3, 4, 5])
    top = await subscription.history()
    since = {"since": StreamPosition(options["since"], top.epoch)} if "since" in options else {}
    page = await subscription.history(**{**options, **since})
    assert [client.unpack(publication.data) for publication in page.publications] == found
    assert [publication.offset for publication in page.publications] == found
    assert (page.offset, page.epoch) == (5, top.epoch)
    assert top.epoch


async def test_history_of_a_channel_that_nobody_used(client: PypiClient, name: str) -> None:
    page = await client.sdk.history(name, limit=10)
    assert (page.publications, page.offset, bool(page.epoch)) == ([], 0, True)


@pytest.mark.parametrize(
    ("since", "reverse", "code"), [(StreamPosition(1, "another"), False, 112), (StreamPosition(0, ""), True, 107)]
)
async def test_history_from_nowhere_is_refused(
    client: PypiClient, name: str, since: StreamPosition, reverse: bool, code: int
) -> None:
    subscription = await client.subscribe(name)
    with pytest.raises(centrifuge.ReplyError) as caught:
        await subscription.history(limit=1, since=since, reverse=reverse)
    assert caught.value.code == code


async def test_presence_knows_the_members(client: PypiClient, connect: Connect, name: str, user: str) -> None:
    second = await connect(token=token(user))
    stranger = await connect()
    subscription = await client.subscribe(name)
    await second.subscribe(name)
    await stranger.subscribe(name)
    await client.event("join", name, number=3)
    members = (await subscription.presence()).clients
    assert {key: info.user for key, info in members.items()} == {
        client.sdk.client_id: user,
        second.sdk.client_id: user,
        stranger.sdk.client_id: "",
    }
    assert client.unpack(members[client.sdk.client_id].conn_info) == {"name": "Ann"}
    stats = await subscription.presence_stats()
    assert (stats.num_clients, stats.num_users) == (3, 2)


async def test_joins_and_leaves_are_told(client: PypiClient, connect: Connect, name: str) -> None:
    await client.subscribe(name)
    assert (await client.event("join", name)).info.client == client.sdk.client_id
    other = await connect(token=token("5", info="Bob"))
    subscription = await other.subscribe(name)
    joined = (await client.event("join", name, number=2)).info
    assert (joined.user, joined.client, client.unpack(joined.conn_info)) == ("5", other.sdk.client_id, "Bob")
    await subscription.unsubscribe()
    assert (await client.event("leave", name)).info == joined
    await subscription.subscribe()
    await client.event("join", name, number=3)
    await other.sdk.disconnect()
    assert (await client.event("leave", name, number=2)).info == joined


async def test_there_are_no_procedures(client: PypiClient) -> None:
    with pytest.raises(centrifuge.ReplyError) as caught:
        await client.sdk.rpc("anything", client.pack({}))
    assert (caught.value.code, caught.value.message) == (108, "not available")


async def test_both_forms_share_a_channel(conformance: Conformance, connect: Connect, name: str) -> None:
    clients = [await connect(use_protobuf=form) for form in (False, True)]
    subscriptions = [await client.subscribe(name) for client in clients]
    for client, subscription in zip(clients, subscriptions, strict=True):
        await subscription.publish(client.pack({"binary": client.binary, "text": "混"}))
    await conformance.publish(name, "from the server")
    for client in clients:
        await client.event("publication", name, number=3)
        assert client.received(name) == [
            {"binary": False, "text": "混"},
            {"binary": True, "text": "混"},
            "from the server",
        ]


async def test_bytes_that_are_no_json_are_for_the_binary_form_alone(connect: Connect, name: str) -> None:
    text, binary = await connect(use_protobuf=False), await connect(use_protobuf=True)
    await text.subscribe(name)
    subscription = await binary.subscribe(name)
    await subscription.publish(b"\xff\x00\n")
    assert (await binary.event("publication", name)).pub.data == b"\xff\x00\n"
    assert (await text.event("disconnected")).code == 3506


async def test_a_message_that_is_too_long_is_not_taken(client: PypiClient, name: str) -> None:
    subscription = await client.subscribe(name)
    await subscription.publish(client.pack("x" * 60_000))
    await client.event("publication", name)
    with pytest.raises(centrifuge.ClientDisconnectedError):
        await subscription.publish(client.pack("x" * 70_000))
    told = await client.event("connecting", number=2)
    assert (told.code, told.reason) == (3, "message size limit")
    await client.event("subscribed", name, number=2)
