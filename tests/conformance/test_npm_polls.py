"""npm `centrifuge` 5.8.0: shared polls, over every transport and in both forms."""

import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.conformance.conftest import Backend, Conformance, away, over_every_wire, poll_signature, token
from tests.support.npm import SHARED_POLL, Event, NpmClient, signed
from tests.support.proxy import FaultProxy


def signer(channel: str, **options: Any) -> Any:
    """What signs keys for user 42, as the site's own view would."""

    def sign(context: Event) -> Event:
        return {"keys": context["keys"], "signature": poll_signature("42", channel, context["keys"], **options)}

    return sign


def show(backend: Backend, key: str, number: int, **options: Any) -> None:
    backend.values[key] = {"data": {"n": number, "text": "竹" * 50}, "version": number, **options}


def shown(client: NpmClient, channel: str) -> list[tuple[str, Any]]:
    return [(key, data if data == "removed" else data["n"]) for key, data in client.updates(channel)]


async def follow(client: NpmClient, channel: str, key: str) -> None:
    """Track a key, until its first value is shown."""
    await client.subscribe(channel, SHARED_POLL, getSignature=signer(channel))
    await client.call("track", channel=channel, keys=[key])
    await client.until(lambda: shown(client, channel) == [(key, 1)])


@pytest.mark.parametrize("kind", ["poll:", "pollvl:", "pollpb:"])
async def test_a_key_is_followed_and_left(client: NpmClient, backend: Backend, name: str, kind: str) -> None:
    channel = f"{kind}{name}"
    show(backend, name, 1)
    await follow(client, channel, name)
    show(backend, name, 2)
    await client.until(lambda: shown(client, channel) == [(name, 1), (name, 2)])
    assert client.contexts("update", channel)[-1]["version"] >= 2
    await client.call("untrack", channel=channel, keys=[name])
    await client.call("track", channel=channel, keys=[f"{name}-other"])
    show(backend, name, 3)
    show(backend, f"{name}-other", 1)
    await client.until(lambda: (f"{name}-other", 1) in shown(client, channel))
    assert (name, 3) not in shown(client, channel)
    assert await client.call("trackedKeys", channel=channel) == [f"{name}-other"]


@pytest.mark.parametrize("kind", ["poll:", "pollvl:"])
async def test_a_key_that_the_backend_calls_removed_is_gone(
    client: NpmClient, backend: Backend, name: str, kind: str
) -> None:
    channel = f"{kind}{name}"
    show(backend, name, 1)
    await follow(client, channel, name)
    show(backend, name, 2, removed=True)
    await client.until(lambda: shown(client, channel) == [(name, 1), (name, "removed")])


@pytest.mark.smoke
async def test_several_signatures_and_a_cut(client: NpmClient, backend: Backend, proxy: FaultProxy, name: str) -> None:
    """After the cut the SDK says the versions it has, and gets what is newer."""
    channel = f"poll:{name}"
    keys = [f"{name}-{number}" for number in range(4)]
    for key in keys:
        show(backend, key, 1)
    await client.subscribe(channel, SHARED_POLL, getSignature=signer(channel))
    for batch in (keys[:2], keys[2:]):
        items = [{"key": key, "version": 0} for key in batch]
        await client.call("track", channel=channel, keys=items, signature=poll_signature("42", channel, batch))
    await client.until(lambda: sorted(shown(client, channel)) == [(key, 1) for key in keys])
    async with away(client, proxy) as seen:
        show(backend, keys[3], 2)
    await client.context("subscribed", channel, start=seen)
    await client.until(lambda: shown(client, channel)[4:] == [(keys[3], 2)])
    show(backend, keys[0], 2)
    await client.until(lambda: shown(client, channel)[4:] == [(keys[3], 2), (keys[0], 2)])


@pytest.mark.parametrize("wrong", ["user", "channel", "keys", "form"])
async def test_a_signature_has_to_be_for_this(client: NpmClient, name: str, wrong: str) -> None:
    channel = f"poll:{name}"
    signature = {
        "user": poll_signature("43", channel, [name]),
        "channel": poll_signature("42", f"poll:{name}-other", [name]),
        "keys": poll_signature("42", channel, [name, "more"]),
        "form": "1:2",
    }[wrong]
    await client.subscribe(channel, SHARED_POLL, getSignature=signed(signature))
    await client.call("track", channel=channel, keys=[name])
    error = await client.context("subscription error", channel)
    assert (error["type"], error["error"]["code"]) == ("track", 103)


async def test_a_signature_whose_time_is_over_is_renewed(client: NpmClient, backend: Backend, name: str) -> None:
    """The server answers with 109."""
    channel, asked = f"poll:{name}", []
    show(backend, name, 1)

    def sign(context: Event) -> Event:
        asked.append(context["keys"])
        return dict(signer(channel)(context))

    await client.subscribe(channel, SHARED_POLL, getSignature=sign)
    over = poll_signature("42", channel, [name], iat=int(time.time()) - 100)
    await client.call("track", channel=channel, keys=[{"key": name, "version": 0}], signature=over)
    await client.until(lambda: shown(client, channel) == [(name, 1)])
    assert asked == [[name]]


async def test_signatures_are_renewed_in_time(conformance: Conformance, backend: Backend, name: str) -> None:
    """They live for two seconds here, and a key that is not signed any more is gone."""
    channel = f"poll:{name}"
    show(backend, f"{name}-kept", 1)
    show(backend, f"{name}-taken", 1)

    async def scenario(client: NpmClient, wire: list[str]) -> None:
        asked: list[Iterable[str]] = []

        def sign(context: Event) -> Event:
            asked.append(context["keys"])
            keys = [key for key in context["keys"] if len(asked) == 1 or "taken" not in key]
            return dict(signer(channel, ttl=2)({"keys": keys}))

        await client.connect_over(conformance.port, *wire, token=token("42"))
        await client.subscribe(channel, SHARED_POLL, getSignature=sign)
        await client.call("track", channel=channel, keys=[f"{name}-kept", f"{name}-taken"])
        await client.until(lambda: (f"{name}-taken", "removed") in shown(client, channel))
        assert await client.call("trackedKeys", channel=channel) == [f"{name}-kept"]
        await client.until(lambda: len(asked) >= 3)

    await over_every_wire(scenario)


async def test_a_connection_follows_as_many_keys_as_it_may(client: NpmClient, backend: Backend, name: str) -> None:
    channel = f"poll:{name}"
    keys = [f"{name}-{number}" for number in range(101)]
    for key in keys:
        show(backend, key, 1)
    await client.subscribe(channel, SHARED_POLL, getSignature=signer(channel))
    await client.call("track", channel=channel, keys=keys[:100])
    await client.until(lambda: len(shown(client, channel)) == 100)
    await client.call("track", channel=channel, keys=keys[100:])
    error = await client.context("subscription error", channel)
    assert (error["type"], error["error"]["code"]) == ("track", 106)
    assert max(len(question["items"]) for question in backend.asked) == 100


async def test_what_is_known_comes_with_the_reply(
    conformance: Conformance, client: NpmClient, backend: Backend, name: str
) -> None:
    """Two clients look at a key, and the back end is asked for it once per interval."""
    channel = f"poll:{name}"
    show(backend, name, 1)
    await follow(client, channel, name)
    async with NpmClient.start() as other:
        await other.connect_over(conformance.port, "websocket", "json", token=token("42"))
        await follow(other, channel, name)
        show(backend, name, 2)
        for follower in (client, other):
            await follower.until(lambda follower=follower: shown(follower, channel) == [(name, 1), (name, 2)])  # type: ignore[misc]
    questions = [question for question in backend.asked if question["channel"] == channel]
    assert all(len(question["items"]) == 1 for question in questions)
    assert questions[0]["items"] == [{"key": name, "version": 0}]
    assert {"key": name, "version": 1} in [question["items"][0] for question in questions]


async def test_differences_of_a_key(member: NpmClient, name: str) -> None:
    channel = f"prices:{name}"
    await member.subscribe(channel, SHARED_POLL, getSignature=signer(channel), delta="fossil")
    await member.call("track", channel=channel, keys=["k"])
    await member.until(lambda: len(member.updates(channel)) >= 3)
    versions = [data["version"] for _, data in member.updates(channel)]
    assert versions == list(range(versions[0], versions[0] + len(versions)))
    stats = await member.call("deltaStats", channel=channel)
    assert (stats["numFullPayloads"], stats["numDeltaPayloads"] >= 2) == (1, True)
