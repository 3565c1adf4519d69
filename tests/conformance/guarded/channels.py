"""One class for each option that the SDK meets nowhere in the conformance project."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from hotclub import Channel, Client, CommandError, History, Welcome, rpc


async def welcome(client: Client) -> Welcome:
    return Welcome(data={"hello": client.user_id}, channels={"open:all": {"first": True}})


class Forgetful(Channel):
    pattern = "forgetful:<str:name>"

    async def can_subscribe(self, client: Client, name: str) -> bool:
        return True

    async def on_publish(self, client: Client, data: Any, name: str) -> Any:
        return data

    async def on_subscribe(self, client: Client, name: str) -> Any:
        return {"topic": name}


class Open(Forgetful):
    pattern = "open:<str:name>"
    history = History(size=100, ttl=timedelta(minutes=5))


class Signed(Channel):
    pattern = "signed:<str:name>"
    history = Open.history
    presence = True
    token = True


class Positioned(Open):
    pattern = "positioned:<str:name>"
    recovery = False
    position = True


class Cached(Open):
    pattern = "cached:<str:name>"
    recovery = "cache"


class Compact(Open):
    pattern = "compact:<str:name>"
    compaction = True
    presence = True


class Tagged(Open):
    pattern = "tagged:<str:name>"
    filters = True


class Enforced(Tagged):
    """Everybody gets what is for everybody or for him."""

    pattern = "enforced:<str:name>"

    def tags_filter(self, client: Client, name: str) -> Callable[[Mapping[str, str]], bool]:
        return lambda tags: tags.get("to", client.user_id) == client.user_id


@rpc("echo")
async def echo(client: Client, text: str) -> dict[str, str]:
    return {"user": client.user_id, "text": text}


@rpc("refuse")
async def refuse(client: Client) -> None:
    raise CommandError(1234, "not today")
