"""The channels that the suites use. Nobody writes a `can_subscribe` or `can_publish`: `INSECURE` allows everything.

`PRESENCE=off` leaves presence out; the `POLL_BACKEND` variables say where the shared polls get their values.
"""

import json
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, ClassVar
from urllib.request import Request, urlopen

from django.urls import register_converter
from django.urls.converters import StringConverter

from hotclub import Channel, Client, History
from hotclub.maps import MapChannel, MapEntry
from hotclub.polls import Polled, SharedPollChannel


class Colonless(StringConverter):
    regex = "[^:#][^:]*"


register_converter(Colonless, "colonless")

PRESENCE = os.environ.get("PRESENCE") != "off"
BACKEND = os.environ.get("POLL_BACKEND", "http://127.0.0.1:3010/refresh")
BACKEND_OF_PROTOBUF_TESTS = os.environ.get("POLL_BACKEND_PROTOBUF", "http://127.0.0.1:3011/refresh")
FIVE_MINUTES = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)


class SmallHistory(Channel):
    pattern = "smallhistory:<str:name>"
    history = History(size=2, ttl=FIVE_MINUTES)


class PlainSmallHistory(Channel):
    pattern = "smallhistory"
    history = SmallHistory.history


class Recovery(Channel):
    pattern = "recovery:<str:name>"
    history = History(size=100, ttl=FIVE_MINUTES)


class Delta(Channel):
    pattern = "delta:<str:name>"
    history = Recovery.history
    delta = True


class Plain(Channel):
    pattern = "<colonless:name>"
    history = Recovery.history
    delta = True
    presence = PRESENCE


class Personal(Channel):
    pattern = "#<str:user_id>"
    history = Recovery.history
    delta = True
    presence = PRESENCE

    async def can_subscribe(self, client: Client, user_id: str) -> bool:
        return user_id in (str(client.user.pk), "*")


class Streamless(MapChannel):
    pattern = "streamless:<str:name>"
    key_ttl = MINUTE


class Positioned(MapChannel):
    pattern = "positioned:<str:name>"
    history = History(size=1_000, ttl=FIVE_MINUTES)


class SmallStream(MapChannel):
    pattern = "smallstream:<str:name>"
    history = History(size=2, ttl=MINUTE)


class MapDelta(MapChannel):
    pattern = "mapdelta:<str:name>"
    history = Positioned.history
    delta = True


class ShortTtl(MapChannel):
    pattern = "shortttl:<str:name>"
    key_ttl = timedelta(seconds=3)


class ClientKey(MapChannel):
    """Whatever key a client names, it sets the one that is its own id."""

    pattern = "clientkey:<str:name>"
    key_ttl = MINUTE

    async def on_publish(self, client: Client, data: Any, key: str, name: str) -> MapEntry:
        return MapEntry(client.id, data)

    async def on_remove(self, client: Client, key: str, name: str) -> str:
        return client.id


class WithClients(MapChannel):
    pattern = "prestest:<str:name>"
    key_ttl = MINUTE
    presence_clients = "prescli:{channel}"


class Clients(MapChannel):
    pattern = "prescli:<str:name>"
    key_ttl = MINUTE
    holds = "clients"


class Debounced(MapChannel):
    pattern = "debounced:<str:name>"
    key_ttl = MINUTE
    debounce = timedelta(milliseconds=50)


class Tagged(MapChannel):
    pattern = "tagged:<str:name>"
    history = Positioned.history
    filters = True


class Poll(SharedPollChannel):
    """Values from a back end that speaks the reference server's `shared_poll_refresh`."""

    pattern = "poll:<str:name>"
    interval = timedelta(milliseconds=200)
    batch_size = 100
    max_keys = 100
    timeout = timedelta(seconds=5)
    url: ClassVar[str] = BACKEND

    def poll(self, keys: Mapping[str, int], name: str) -> Iterable[Polled]:
        items = [{"key": key, "version": version} for key, version in keys.items()]
        question = {"channel": self.pattern.replace("<str:name>", name), "items": items}
        request = Request(self.url, json.dumps(question).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=self.timeout.total_seconds()) as answer:
            found = json.load(answer)["result"]["items"]
        return [
            Polled(item["key"], item.get("data"), version=item.get("version", 0), removed=item.get("removed", False))
            for item in found
        ]


class PollWithoutVersions(Poll):
    pattern = "pollvl:<str:name>"
    versioned = False


class PollForProtobuf(Poll):
    pattern = "pollpb:<str:name>"
    url = BACKEND_OF_PROTOBUF_TESTS
