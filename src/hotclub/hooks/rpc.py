"""Calls the project's procedures, and `hotclub.state`, which every project has.

`hotclub.state` returns the state behind a channel, and the position of that state. A client that is new or was away for
too long renders the state and subscribes from the position (the SDKs call this getState).
"""

from typing import Any, Final

from msgspec import Raw

from hotclub.actions.connections import ahistory
from hotclub.channels.client import CommandData
from hotclub.channels.registry import Route
from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.model import Position
from hotclub.engine.names import fault
from hotclub.engine.port import Client as EngineClient
from hotclub.hooks.calling import Project, answering, client_of, encoded, overridden
from hotclub.hooks.subscribe import SubscribeHooks
from hotclub.runtime.encoding import decode, encode

STATE_METHOD: Final = "hotclub.state"
"""The procedure's name, which no procedure of a project can have."""


class CallHooks:
    """Implements the engine's `Calls` for the project."""

    def __init__(self, project: Project, subscribes: SubscribeHooks) -> None:
        self._project = project
        self._subscribes = subscribes
        self._procedures = project.registry.procedures
        self._hooks = project.hooks

    async def rpc(self, client: EngineClient, method: str, data: Raw) -> Raw:
        """See `Calls.rpc`.

        Raises:
            Refused: `NOT_AVAILABLE` or `METHOD_NOT_FOUND`, as `Calls.rpc`; `BAD_REQUEST` for malformed arguments; or as
                `HookRunner.run`.
        """
        mine = client_of(client)
        if method == STATE_METHOD:
            return await self._state(client, *_arguments_of_state(CommandData(data).value))
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

    async def _state(self, client: EngineClient, name: str, token: str) -> Raw:
        if reason := fault(name):
            raise Refused(Code.BAD_REQUEST, f"channel name is not valid: {reason}")
        mine = client_of(client)
        route = self._project.registry.route(name)
        with answering(route.pattern):
            await self._hooks.run(mine, self._subscribes.may_read(client, route, token))
            if not overridden(route.channel, "get_state"):
                raise Refused(Code.NOT_AVAILABLE, why="the channel's class has no get_state()")
            if route.spec.positioned and not self._project.keeps:
                raise Refused(
                    Code.NOT_AVAILABLE, "where the channel stands is known to the server that keeps its log alone"
                )
            # The position comes first: a publication that arrives before the state is sent twice, and none is missed.
            position = await _position_of(route)
            hook = route.channel.get_state
            state = await self._hooks.call(mine, hook, **route.kwargs)
            if route.name in client.revoked:
                raise Refused(Code.PERMISSION_DENIED, why="the server took the channel back meanwhile")
            return encoded(hook, _answer(state, position))

    async def send(self, client: EngineClient, data: Raw) -> None:  # noqa: ARG002 - the port's arguments
        """See `Calls.send`. Always raises Disconnect `NOT_AVAILABLE`."""
        raise Disconnect(Close.NOT_AVAILABLE, why="send is not taken: publish, or call a procedure")


def _arguments_of_state(arguments: Any) -> tuple[str, str]:
    """The channel that the arguments name, and the subscription token, "" for none.

    Raises:
        Refused: `BAD_REQUEST`, there is no channel, or one of the two is not text.
    """
    given = arguments if isinstance(arguments, dict) else {}
    channel, token = given.get("channel"), given.get("token", "")
    if not isinstance(channel, str) or not channel:
        raise Refused(Code.BAD_REQUEST, "hotclub.state needs a channel")
    if not isinstance(token, str):
        raise Refused(Code.BAD_REQUEST, "the token of hotclub.state is text")
    return channel, token


async def _position_of(route: Route) -> Position | None:
    """The channel's position now, None for a channel without positions."""
    return (await ahistory(route.name, limit=0)).top if route.spec.positioned else None


def _answer(state: Any, position: Position | None) -> dict[str, Any]:
    """The procedure's answer; a channel without positions has no `epoch` and `offset`."""
    if position is None:
        return {"state": state}
    return {"state": state, "epoch": position.epoch, "offset": position.offset}
