"""reliability.md §4 B1–B9 where they are about JSON: text that is none, or means no good."""

import pytest

from tests.abuse.conftest import runs_on, subscriber
from tests.support.emulated import JSON_CLIENTS, HttpStreamClient
from tests.support.processes import Server
from tests.support.wire import WireClient

BAD_REQUEST = 107

everywhere = runs_on(JSON_CLIENTS)


@pytest.mark.smoke
@pytest.mark.parametrize(
    "text",
    [
        "hello",
        '{"id":2,"rpc":{"method":"x"}}x',
        "\ufeff{}",
        "",
        "null",
        "[]",
        "[{}]",
        "1",
        '"text"',
        "{'id':2}",
        "{}{}",
    ],
)
async def test_b1_what_is_no_command_is_a_bad_request(server: Server, text: str) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.socket.send_text(text)
        if isinstance(client, HttpStreamClient) and not text:
            # A request without commands is refused as a request, and the connection it names has done nothing.
            assert client.emulated.statuses == [400]
        else:
            assert (await client.ended()).code == 3501


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("place", ["data", "unknown key", "top"])
async def test_b2_depth_is_refused_quickly(server: Server, opening: str, place: str) -> None:
    nested = opening * (60_000 // len(opening))
    text = {
        "data": '{"id":2,"publish":{"channel":"memory:b2","data":' + nested,
        "unknown key": '{"id":2,"later":' + nested,
        "top": nested,
    }[place]
    async with await WireClient.connected(server.port) as client:
        with server.works_less_than(0.5):
            await client.socket.send_text(text)
            assert (await client.ended()).code == 3501


@pytest.mark.parametrize("place", ["data", "unknown key"])
async def test_b2_balanced_depth_is_refused(server: Server, place: str) -> None:
    nested = "[" * 30_000 + "]" * 30_000
    async with await subscriber(WireClient, server, "memory:b2") as client:
        if place == "data":
            text = '{"id":9,"publish":{"channel":"memory:b2","data":' + nested + "}}"
        else:
            text = '{"id":9,"rpc":{"method":"nothing","later":' + nested + "}}"
        await client.socket.send_text(text)
        await client.wait(lambda: client.closed is not None or any(item.get("id") == 9 for item in client.inbox))
        if client.closed is not None:
            assert client.closed.code == 3501
        else:
            reply = next(item for item in client.inbox if item.get("id") == 9)
            assert reply["error"]["code"] in (BAD_REQUEST, 104)
        assert client.received("memory:b2") == []


@pytest.mark.parametrize("number", ["18446744073709551616", "-1", "1.5", '"1"', "1e2", "4294967296"])
async def test_b4_an_id_that_is_no_id_is_a_bad_request(server: Server, number: str) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.socket.send_text('{"id":' + number + ',"rpc":{"method":"slow","data":{"seconds":0}}}')
        assert (await client.ended()).code == 3501


@pytest.mark.parametrize("offset", ["-1", "18446744073709551616", "1.5", '"1"'])
async def test_b4_an_offset_that_is_none_never_reaches_a_channel(server: Server, offset: str) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.socket.send_text(
            '{"id":9,"subscribe":{"channel":"memory:b4","recover":true,"offset":' + offset + "}}"
        )
        await client.wait(lambda: client.closed is not None or any(item.get("id") == 9 for item in client.inbox))
        if client.closed is not None:
            assert client.closed.code == 3501
        else:
            reply = next(item for item in client.inbox if item.get("id") == 9)
            assert "error" in reply or not reply["subscribe"].get("recovered", False)


@pytest.mark.smoke
async def test_b2_to_b8_a_command_with_a_bad_value_is_refused_alone(server: Server) -> None:
    nested = "[" * 20_000 + "]" * 20_000
    commands = [
        '{"id":ID,"publish":{"channel":"memory:alone","data":"half \\ud83d"}}',
        '{"publish":{"channel":"memory:alone","data":{"\\ud83d":1}},"id":ID}',
        '{"id":ID,"subscribe":{"channel":"\\ud83d"}}',
        '{"id":ID,"rpc":{"method":"x","data":"\\ude00"}}',
        '{"id":ID,"publish":{"channel":"memory:alone","data":NaN}}',
        '{"id":ID,"publish":{"channel":"memory:alone","data":1e999}}',
        '{"id":ID,"publish":{"channel":"memory:alone","data":' + "9" * 5_000 + "}}",
        '{"id":ID,"publish":{"channel":"memory:alone","data":' + nested + "}}",
        '{"publish":{"channel":"memory:alone","data":' + nested + '},"id":ID}',
        '{"id":ID,"subscribe":{"channel":"memory:alone","offset":' + "9" * 5_000 + "}}",
        '{"id":ID,"subscribe":{"channel":"memory:alone","recover":"yes"}}',
        '{"id":ID,"subscribe":{"channel":["memory:alone"]}}',
        '{"id":ID,"subscribe":{"channel":""}}',
        '{"id":ID,"subscribe":{"channel":"memory:other","delta":"zip"}}',
        '{"id":ID,"history":{"channel":"memory:alone","since":5}}',
        '{"id":ID,"refresh":{}}',
        '{"id":ID,"unheard_of":{}}',
        '{"id":ID}',
    ]
    async with await subscriber(WireClient, server, "memory:alone") as client:
        for number, text in enumerate(commands, 1_000):
            await client.socket.send_text(text.replace("ID", str(number)))
            assert await client.fate(number) == BAD_REQUEST, text[:80]
        await client.socket.send_text('{"send":{"data":"\\ud83d"}}')
        await client.publish("memory:alone", "whole")
        (publication,) = await client.publications("memory:alone", 1)
        assert publication["data"] == "whole"


async def test_b5_a_malformed_connect_is_refused_and_is_the_last_command(server: Server) -> None:
    async with await WireClient.open(server.port) as client:
        await client.socket.send_text('{"id":1,"connect":{"data":"\\ud83d"}}')
        assert await client.fate(1) == 107
        await client.socket.send_text('{"id":2,"rpc":{"method":"x"}}')
        assert (await client.ended()).code == 3501


async def test_b10_a_flood_of_malformed_commands_ends_the_connection_for_now(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        for _ in range(3):
            await client.socket.send_text("\n".join(['{"id":9,"rpc":5}'] * 100))
        assert (await client.ended()).code == 3013


async def test_b5_a_lone_surrogate_elsewhere_is_refused(server: Server) -> None:
    for command in (
        '{"id":9,"rpc":{"method":"\\ud800"}}',
        '{"id":9,"subscribe":{"channel":"\\ud800"}}',
        '{"id":9,"rpc":{"method":"slow","data":{"seconds":"\\ud800"}}}',
    ):
        async with await WireClient.connected(server.port) as client:
            await client.socket.send_text(command)
            await client.wait(lambda: client.closed is not None or any(i.get("id") == 9 for i in client.inbox))
            assert client.closed is not None or "error" in client.inbox[-1]


async def test_b6_a_doubled_key_has_one_meaning_for_everybody(server: Server) -> None:
    """Authorisation and delivery read the same channel: nobody gets what was meant for another."""
    async with (
        await subscriber(WireClient, server, "memory:b6-a") as client,
        await subscriber(WireClient, server, "memory:b6-b") as other,
    ):
        await client.socket.send_text(
            '{"id":9,"publish":{"channel":"memory:b6-b","data":1,"channel":"memory:b6-a","data":2}}'
        )
        await client.wait(lambda: client.closed is not None or any(item.get("id") == 9 for item in client.inbox))
        await other.settled()
        assert other.received("memory:b6-b") == []
        assert [publication["data"] for publication in client.received("memory:b6-a")] in ([], [2])


async def test_b8_what_makes_no_sense_changes_nothing(server: Server) -> None:
    async with await subscriber(WireClient, server, "memory:b8") as witness:
        for text in (
            '{"id":9,"unheard_of":{}}',
            '{"id":9}',
            '{"publish":{"channel":"memory:b8","data":1}}',
            '{"id":9,"publish":null}',
            '{"id":9,"publish":[]}',
            '{"id":9,"publish":{"channel":7,"data":1}}',
            '{"id":9,"result":{}}',
            '{"id":9,"error":{"code":1}}',
        ):
            async with await subscriber(WireClient, server, "memory:b8") as client:
                await client.socket.send_text(text)
                await client.wait(lambda: client.closed is not None or any(i.get("id") == 9 for i in client.inbox))
                assert client.closed is not None or "error" in client.inbox[-1], text
        await witness.settled()
        assert witness.received("memory:b8") == []


async def test_b9_ten_thousand_commands_in_one_frame_are_refused(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.socket.send_text("\n".join(["{}"] * 10_000))
        assert (await client.ended()).code == 3501


async def test_b9_a_frame_of_line_breaks_is_refused(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.socket.send_text("\n" * 65_000)
        assert (await client.ended()).code == 3501
