"""Decides on publications: `can_publish` and `on_publish`, which a durable channel runs in one transaction."""

from functools import partial
from typing import Any

from msgspec import Raw

from hotclub.channels.client import Client, CommandData
from hotclub.channels.registry import Route
from hotclub.durable.client_publish import DurablePublish, raise_nothing
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.model import ClientInfo, Position
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import PublishGrant, ResolvedChannel
from hotclub.hooks.calling import (
    HookCall,
    Project,
    Steps,
    answering,
    ask,
    bucket,
    client_of,
    encoded,
    is_open,
    overridden,
    plain,
    route_of,
)


class PublishHooks:
    """Implements the engine's `Publishes` for the project."""

    def __init__(self, project: Project) -> None:
        self._config = project.config
        self._hooks = project.hooks
        self._traffic = project.traffic
        self._keeps = project.keeps

    async def publish(
        self, client: EngineClient, channel: ResolvedChannel, data: Raw, info: ClientInfo
    ) -> PublishGrant:
        """See `Publishes.publish`. A cancelled publish of a durable channel may or may not have been stored.

        Raises:
            Refused: `PERMISSION_DENIED`, `can_publish` says no; `TOO_MANY_REQUESTS`; `NOT_AVAILABLE`, the hook returned
                nothing, but the server that keeps the log cannot accept a publication without publishing it; or as
                `HookRunner.run`.
        """
        route, mine = route_of(channel), client_of(client)
        self._traffic.publish(bucket(mine), route.pattern, route.channel.rate)
        with answering(route.pattern):
            if route.spec.durable:
                work = self._durably(mine, route, data, info)
                return await self._hooks.publish(mine, route.channel.on_publish, work)
            return await self._hooks.run(mine, self._decide(mine, route, data), data)

    def _decide(self, mine: Client, route: Route, data: Raw) -> Steps[PublishGrant]:
        hooks = route.channel
        permission = self._permission(mine, route)
        if permission is not None and not (yield permission):
            raise Refused(Code.PERMISSION_DENIED)
        if not overridden(hooks, "on_publish"):
            return PublishGrant(data=data)
        value = CommandData(data).value
        if overridden(hooks, "prepare_publish"):
            value = yield ask(hooks.prepare_publish, mine, value, **route.kwargs)
        result = yield ask(hooks.on_publish, mine, value, **route.kwargs)
        if not self._keeps and (result is None or isinstance(result, Position)):
            raise_nothing()
        if isinstance(result, Position):
            return PublishGrant(position=result)
        return PublishGrant(data=encoded(hooks.on_publish, result))

    def _permission(self, mine: Client, route: Route) -> HookCall | None:
        """The call of `can_publish`, None when it need not be asked."""
        if is_open(self._config, route.channel, "can_publish"):
            return None
        return ask(route.channel.can_publish, mine, **route.kwargs)

    def _durably(self, mine: Client, route: Route, raw: Raw, info: ClientInfo) -> DurablePublish:
        hooks, data = route.channel, CommandData(raw)
        permission = self._permission(mine, route)

        def run(call: HookCall) -> Any:
            return plain(mine, call, data)

        def prepare() -> Any:
            return run(ask(hooks.prepare_publish, mine, data.value, **route.kwargs))

        def publish(prepared: Any) -> Any:
            return run(ask(hooks.on_publish, mine, prepared, **route.kwargs))

        return DurablePublish(
            route,
            info,
            self._config.database,
            can_publish=None if permission is None else partial(run, permission),
            prepare=prepare if overridden(hooks, "prepare_publish") else lambda: data.value,
            on_publish=publish if overridden(hooks, "on_publish") else None,
            data=raw,
            encode=partial(encoded, hooks.on_publish),
            keeps=self._keeps,
        )
