"""The conformance project as `make conformance PRESENCE=off` serves it."""

from pathlib import Path

import pytest

from tests.conformance.conftest import CONFORMANCE, Conformance
from tests.support.wire import ErrorReply, WireClient


async def test_without_presence_nobody_is_shown_and_other_names_are_unknown(tmp_path: Path) -> None:
    with Conformance.serving(tmp_path, CONFORMANCE, {"PRESENCE": "off"}) as server:
        async with await WireClient.connected(server.port) as client:

            async def code(method: str, channel: str) -> int:
                with pytest.raises(ErrorReply) as refused:
                    await client.call(method, channel=channel)
                return refused.value.code

            await client.subscribe("plain")
            await client.publish("plain", 1)
            await client.publications("plain", 1)
            assert [item for item in client.inbox if "join" in item.get("push", {})] == []
            assert [await code(method, "plain") for method in ("presence", "presence_stats")] == [108, 108]
            assert [await code("subscribe", name) for name in ("other:name", "test:a")] == [102, 102]
