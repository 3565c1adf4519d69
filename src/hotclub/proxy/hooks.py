"""One function per hook of a stand-alone server, in one table (protocol §8.2).

Each takes the back end and the question, and returns the fields of the result. It raises `Refused` and `Disconnect` as
the engine's port does, and `Refused` with `UNKNOWN_CHANNEL` for an unknown channel.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import structs

from hotclub.access import overrides
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.model import ClientInfo
from hotclub.engine.port import (
    Client,
    ConnectRequest,
    KeyChange,
    Overrides,
    PollItem,
    ResolvedChannel,
    SubscribeGrant,
    SubscribeRequest,
)
from hotclub.hooks.calling import route_of
from hotclub.proxy.backend import Backend
from hotclub.proxy.messages import Question, payload_field, polled

REFRESH: Final = 60
"""Seconds after which the server asks again whether a connection is still signed in."""

Fields = dict[str, Any]
"""The fields of a hook's result."""


async def connect(backend: Backend, question: Question) -> Fields:
    """Decide on a connection. A channel with a `tags_filter` for the client is left out of its subscriptions."""
    client = backend.arriving(question)
    asked = ConnectRequest(
        data=question.payload, name=question.name, version=question.version, channels=question.channels
    )
    grant = await backend.application.connects.connect(client, asked)
    client.state = grant.state
    subs = {
        name: _subscription(entry, question)
        for name, entry in grant.channels.items()
        if await _gets_everything(backend, client, name)
    }
    fields = {
        "user": grant.user_id,
        **payload_field("info", grant.info, question.encoding),
        **payload_field("data", grant.data, question.encoding),
        "subs": subs,
        "meta": backend.meta_of(grant),
    }
    return {**fields, "expire_at": _soon()} if grant.user_id else fields


async def _gets_everything(backend: Backend, client: Client, name: str) -> bool:
    """Whether the client has no `tags_filter` in the channel. The server cannot run the filter, and would send all
    publications."""
    channel = backend.application.resolve(name)
    return channel is None or await backend.application.subscribes.admits(client, channel) is None


async def refresh(backend: Backend, question: Question) -> Fields:
    """Decide whether a connection may stay."""
    return {"expire_at": _soon()} if await backend.is_signed_in(question) else {"expired": True}


async def subscribe(backend: Backend, question: Question) -> Fields:
    """Decide on a subscription. Raises Refused `NOT_AVAILABLE` when the client has a `tags_filter` in the channel."""
    client = await backend.known(question)
    channel = backend.resolve(question.channel)
    asked = SubscribeRequest(token=question.token, data=question.payload)
    grant = await backend.application.subscribes.subscribe(client, channel, asked)
    if grant.admits is not None:
        raise Refused(Code.NOT_AVAILABLE, "the server cannot run the tags_filter() of this channel")
    if backend.recheck and not grant.ttl and not route_of(channel).channel.token:
        # `sub_refresh` does not show a token, so a subscription by a token lives as long as the token.
        grant = structs.replace(grant, ttl=backend.recheck)
    return _subscription(grant, question)


async def sub_refresh(backend: Backend, question: Question) -> Fields:
    """Decide whether a subscription may stay."""
    client = await backend.known(question)
    try:
        await backend.application.subscribes.authorize(client, backend.resolve(question.channel))
    except Refused as error:
        if error.temporary:
            raise
        return {"expired": True}
    return {"expire_at": int(time.time()) + (backend.recheck or REFRESH)}


async def publish(backend: Backend, question: Question) -> Fields:
    """Decide on a publication, which the server then publishes."""
    client = await backend.known(question)
    channel = backend.resolve(question.channel)
    info = ClientInfo(user=client.user_id, client=client.id)
    grant = await backend.application.publishes.publish(client, channel, question.payload, info)
    fields: Fields = {**payload_field("data", grant.data, question.encoding), **_delta(channel)}
    if grant.tags:
        fields["tags"] = grant.tags
    if grant.idempotency_key:
        fields["idempotency_key"] = grant.idempotency_key
    return fields


async def rpc(backend: Backend, question: Question) -> Fields:
    """Call a procedure."""
    client = await backend.known(question)
    answer = await backend.application.calls.rpc(client, question.method, question.payload)
    return payload_field("data", answer, question.encoding)


async def map_publish(backend: Backend, question: Question) -> Fields:
    """Decide on a new value of a map's key. Raises Refused `NOT_AVAILABLE` for a channel that is no map."""
    return await _change(backend, question, removed=False)


async def map_remove(backend: Backend, question: Question) -> Fields:
    """Decide on the removal of a map's key. Raises as `map_publish`."""
    return await _change(backend, question, removed=True)


async def _change(backend: Backend, question: Question, *, removed: bool) -> Fields:
    channel = backend.resolve(question.channel)
    if channel.spec.map is None:
        raise Refused(Code.NOT_AVAILABLE, "this channel is no map")
    client = await backend.known(question)
    change = KeyChange(key=question.key, data=question.payload, removed=removed)
    message = await backend.application.follows.change_key(client, channel, change)
    if message is None:
        raise Refused(Code.NOT_AVAILABLE, "the hook returned nothing for the server to change")
    fields: Fields = {"key": message.key, **payload_field("data", message.data, question.encoding)}
    if not removed:
        fields |= _delta(channel)
    if message.tags:
        fields["tags"] = message.tags
    if message.score:
        fields["score"] = message.score
    return fields


async def shared_poll_refresh(backend: Backend, question: Question) -> Fields:
    """Ask for the values of keys. Raises Refused `NOT_AVAILABLE` for a channel that is no shared poll."""
    channel = backend.resolve(question.channel)
    if channel.spec.poll is None:
        raise Refused(Code.NOT_AVAILABLE, "this channel is no shared poll")
    items = [PollItem(item.key, item.version) for item in question.items]
    answer = await backend.application.follows.poll(channel, items)
    fields: Fields = {"items": [polled(item) for item in answer.items]}
    return {**fields, "epoch": answer.epoch} if answer.epoch else fields


def _delta(channel: ResolvedChannel) -> Fields:
    """Ask the server for differences. By default it sends the publications of a hook without them."""
    return {"delta": True} if channel.spec.delta else {}


def _subscription(grant: SubscribeGrant, question: Question) -> Fields:
    fields: Fields = {
        **payload_field("info", grant.info, question.encoding),
        **payload_field("data", grant.data, question.encoding),
    }
    if grant.overrides != Overrides():
        fields["override"] = overrides.write(grant.overrides)
    return {**fields, "expire_at": int(time.time()) + grant.ttl} if grant.ttl else fields


def _soon() -> int:
    return int(time.time()) + REFRESH


HOOKS: Final[dict[str, Callable[[Backend, Question], Awaitable[Fields]]]] = {
    "connect": connect,
    "refresh": refresh,
    "subscribe": subscribe,
    "sub_refresh": sub_refresh,
    "publish": publish,
    "rpc": rpc,
    "map_publish": map_publish,
    "map_remove": map_remove,
    "shared_poll_refresh": shared_poll_refresh,
}
"""The function of each hook, by the last part of the hook's path."""
