"""One class for each option that no class of the conformance project has. Only tokens and `can_subscribe` let in."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from hotclub import Channel, Client, History, MapChannel, Refused, Welcome, aunsubscribe, rpc
from hotclub.polls import Polled, SharedPollChannel


def welcome(client: Client) -> Welcome:
    data: dict[str, Any] = {"hello": client.user_id}
    if client.data is not None:
        data |= {"data": client.data, "theme": client.claimed_headers.get("x-theme")}
    return Welcome(data=data, channels={"news:all": {"edition": 1}} if client.meta else {})


class Open(Channel, abstract=True):
    def can_subscribe(self, client: Client, name: str) -> bool:
        return True


class Forgetful(Open):
    pattern = "forgetful:<str:name>"


class Logged(Channel, abstract=True):
    history = History(size=10, ttl=timedelta(minutes=5))

    async def can_subscribe(self, client: Client, name: str) -> bool:
        return True

    async def on_subscribe(self, client: Client, name: str) -> Any:
        return {"topic": name}


class Signed(Channel):
    pattern = "signed:<str:name>"
    history = Logged.history
    presence = True
    token = True


class News(Channel):
    """Nobody subscribes to it; the server subscribes them."""

    pattern = "news:<str:name>"
    history = Logged.history
    presence = True

    def can_subscribe(self, client: Client, name: str) -> bool:
        return False


class Refusing(Open):
    pattern = "refusing:<int:code>"

    def on_subscribe(self, client: Client, code: int) -> None:
        raise Refused(code, "as you wish")

    def can_subscribe(self, client: Client, code: int) -> bool:  # type: ignore[override]
        return True


class Cached(Logged):
    pattern = "cached:<str:name>"
    recovery = "cache"


class Positioned(Logged):
    pattern = "positioned:<str:name>"
    recovery = False
    position = True


class Filtered(Logged):
    pattern = "filtered:<str:name>"
    filters = True
    delta = True


class Enforced(Filtered):
    """Everybody gets what is for everybody or for him."""

    pattern = "enforced:<str:name>"

    def tags_filter(self, client: Client, name: str) -> Callable[[Mapping[str, str]], bool]:
        return lambda tags: tags.get("to", client.user_id) == client.user_id


class Compact(Logged):
    pattern = "compact:<str:name>"
    presence = True
    compaction = True
    delta = True


class Room(MapChannel, Open):
    pattern = "room:<str:name>"
    key_ttl = timedelta(minutes=1)
    presence_users = "users:{channel}"
    presence_clients = "clients:{channel}"


class Users(MapChannel, Open):
    pattern = "users:<path:name>"
    key_ttl = timedelta(minutes=1)
    holds = "users"


class Clients(MapChannel, Open):
    pattern = "clients:<path:name>"
    key_ttl = timedelta(minutes=1)
    holds = "clients"


class Ranking(MapChannel, Open):
    pattern = "ranking:<str:name>"
    history = History(size=1_000, ttl=timedelta(minutes=5))
    ordered = True


class Prices(SharedPollChannel, Open):
    """Every key has a long value with its own version in it, which grows with every question."""

    pattern = "prices:<str:name>"
    interval = timedelta(milliseconds=200)
    delta = True
    max_keys = 3

    def poll(self, keys: Mapping[str, int], name: str) -> Iterable[Polled]:
        for key, version in keys.items():
            yield Polled(key, {"key": key, "version": version + 1, "text": "竹" * 200}, version=version + 1)


@rpc("echo")
def echo(client: Client, text: str) -> dict[str, Any]:
    return {"user": client.user_id, "text": text}


@rpc("refuse")
async def refuse(client: Client) -> None:
    raise Refused(1234, "not today")


@rpc("invalidate")
async def invalidate(client: Client, channel: str) -> None:
    """Have the client forget what it knows of a channel."""
    await aunsubscribe(channel, client=client, code=2502)
