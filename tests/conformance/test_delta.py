"""A long document edited 500 times: every subscriber has every version, for at most a fifth of the bytes."""

import json
import random
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest
from centrifuge import DeltaType

from tests.conformance.conftest import Conformance
from tests.support.listener import TRANSPORTS, Listener
from tests.support.npm import NpmClient
from tests.support.pypi import PypiClient

EDITS: Final = 500
WORDS: Final = [
    "live",
    "channel",
    "データ",
    "天地玄黄",
    "宇宙洪荒",
    "日月盈昃",
    "辰宿列张",
    "🀄",
    "é",
    '"quoted"',
    "back\\slash",
    "line\nbreak",
]


def versions(chance: random.Random) -> list[dict[str, Any]]:
    """The document, at first and after each of its edits: inserted, deleted, replaced and moved text."""
    text = " ".join(chance.choices(WORDS, k=1_500))
    found = []
    for number in range(EDITS):
        start = chance.randrange(len(text))
        end = min(start + chance.randrange(40), len(text))
        new = "".join(chance.choices(WORDS, k=chance.randrange(5)))
        text = text[:start] + new + text[end:]
        if chance.random() < 0.05:
            cut = chance.randrange(len(text))
            text = text[cut:] + text[:cut]
        found.append({"edit": number, "text": text})
    return found


def encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


async def publish(conformance: Conformance, channel: str, text: bytes) -> None:
    await conformance.api_raw("publish", b'{"channel": %b, "data": %b}' % (json.dumps(channel).encode(), text))


@pytest.mark.timeout(180)
async def test_every_version_arrives_everywhere_for_a_fifth_of_the_bytes(conformance: Conformance, name: str) -> None:
    channel = f"delta:{name}"
    texts = [encoded(document) for document in versions(random.Random(4))]
    async with AsyncExitStack() as stack:
        listeners = {
            transport: await stack.enter_async_context(Listener.open(conformance.port, transport, channel, delta=True))
            for transport in TRANSPORTS
        }
        for text in texts:
            await publish(conformance, channel, text)
        for listener in listeners.values():
            await listener.until_seen(EDITS, timeout=60)
    for transport, listener in listeners.items():
        assert [data for _, data in listener.seen] == texts, transport
        assert listener.wire_bytes <= sum(map(len, texts)) / 5, transport
        assert listener.differences > EDITS * 0.9, transport


@pytest.mark.parametrize("form", ["json", "protobuf"])
async def test_the_sdks_see_every_version(conformance: Conformance, name: str, form: str) -> None:
    channel = f"delta:{name}"
    documents = versions(random.Random(form))[:60]
    async with (
        NpmClient.start() as npm,
        PypiClient.connected(conformance.port, use_protobuf=form == "protobuf") as pypi,
    ):
        await npm.connect_over(conformance.port, "websocket", form)
        await npm.event("connected")
        await npm.call("subscribe", channel=channel, options={"delta": "fossil"})
        await npm.event("subscribed")
        await pypi.subscribe(channel, delta=DeltaType.FOSSIL)
        for document in documents:
            await publish(conformance, channel, encoded(document))
        await npm.until(lambda: len(npm.publications(channel)) >= len(documents))
        await pypi.until(lambda: len(pypi.contexts("publication", channel)) >= len(documents))
        assert [publication["data"] for publication in npm.publications(channel)] == documents
        assert [_value(context.pub.data) for context in pypi.contexts("publication", channel)] == documents


def _value(data: Any) -> Any:
    """The PyPI SDK hands payloads of the protobuf form over as bytes."""
    return json.loads(data) if isinstance(data, bytes) else data


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("missed", [0, 3])
async def test_after_a_replay_the_next_difference_has_a_base_that_the_client_has(
    conformance: Conformance, name: str, transport: str, missed: int
) -> None:
    channel = f"delta:{name}"
    texts = [encoded(document) for document in versions(random.Random(7))[:10]]
    async with Listener.open(conformance.port, "websocket-json", channel) as first:
        for text in texts[: 3 + missed]:
            await publish(conformance, channel, text)
        await first.until_seen(3 + missed)
        since = first.epoch, 3
    async with Listener.open(conformance.port, transport, channel, since=since, delta=True) as listener:
        assert listener.recovered
        for text in texts[3 + missed :]:
            await publish(conformance, channel, text)
        await listener.until_seen(7)
    assert [data for _, data in listener.seen] == texts[3:]
    assert listener.differences == 6
