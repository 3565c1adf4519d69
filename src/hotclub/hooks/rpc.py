"""Procedures, and the one that every project has: `hotclub.state`.

With it a client loads the state behind a channel and the position that the state stands for: a client that comes for
the first time, or was away for too long. It renders the state and subscribes from that position (the SDKs call this
getState), so it needs no second way to the same data.
"""

from typing import Any, Final

from msgspec import Raw

from hotclub.actions.connections import ahistory
from hotclub.channels.client import Client, CommandData
from hotclub.channels.registry import Route
from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.model import Position
from hotclub.engine.port import Client as EngineClient
from hotclub.hooks.calling import Project, answering, client_of, encoded, overridden
from hotclub.hooks.subscribe import may_subscribe
from hotclub.runtime.encoding import decode, encode

STATE_METHOD: Final = "hotclub.state"
"""The procedure's name; no project can have one of the same."""


class CallHooks:
    """The engine's `Calls`, answered by the project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._procedures = project.registry.procedures
        self._hooks = project.hooks

    async def rpc(self, client: EngineClient, method: str, data: Raw) -> Raw:
        mine = client_of(client)
        if method == STATE_METHOD:
            return await self._state(mine, _channel_in(CommandData(data).value))
        if not self._procedures:
            raise Refused(Code.NOT_AVAILABLE, why="the project has no procedures")
        procedure = self._procedures.get(method)
        if procedure is None:
            raise Refused(Code.METHOD_NOT_FOUND, why="no procedure has this name")
        with answering(f"rpc {procedure.name}"):
            arguments = procedure.convert(decode(data))
            answer = await self._hooks.call(mine, procedure.function, data=data, **arguments)
            with answering(procedure.function):
                return encode(answer)

    async def _state(self, client: Client, name: str) -> Raw:
        route = self._project.registry.route(name)
        with answering(route.pattern):
            await self._hooks.run(client, may_subscribe(self._project.config, client, route))
            if not overridden(route.channel, "get_state"):
                raise Refused(Code.NOT_AVAILABLE, why="the channel's class has no get_state()")
            if route.spec.positioned and not self._project.keeps:
                raise Refused(
                    Code.NOT_AVAILABLE, "where the channel stands is known to the server that keeps its log alone"
                )
            # Before the state: what is published between the two comes once more, and nothing is missed.
            position = await _position_of(route)
            hook = route.channel.get_state
            return encoded(hook, _answer(await self._hooks.call(client, hook, **route.kwargs), position))

    async def send(self, client: EngineClient, data: Raw) -> None:  # noqa: ARG002 - the port's arguments
        raise Disconnect(Close.NOT_AVAILABLE, why="send is not taken: publish, or call a procedure")


def _channel_in(arguments: Any) -> str:
    """The channel that the procedure's data names. Raises Refused `BAD_REQUEST` when there is none."""
    channel = arguments.get("channel") if isinstance(arguments, dict) else None
    if not isinstance(channel, str) or not channel:
        raise Refused(Code.BAD_REQUEST, "hotclub.state needs a channel")
    return channel


async def _position_of(route: Route) -> Position | None:
    """Where the channel stands now; None without history."""
    return (await ahistory(route.name, limit=0)).top if route.spec.positioned else None


def _answer(state: Any, position: Position | None) -> dict[str, Any]:
    """What the procedure returns. A channel without history has no position to subscribe from."""
    if position is None:
        return {"state": state}
    return {"state": state, "epoch": position.epoch, "offset": position.offset}
