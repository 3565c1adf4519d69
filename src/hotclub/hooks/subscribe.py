"""Decides on subscriptions by tokens and `can_subscribe`, and calls the hooks for joins, leaves and their ends."""

from collections.abc import Mapping
from typing import Any

from hotclub.access.admission import Admission, login_fault
from hotclub.access.tokens import channel_of
from hotclub.channels.client import Client
from hotclub.channels.registry import Route
from hotclub.conf.config import Config
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.observe import logger
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import Predicate, RefreshGrant, ResolvedChannel, SubscribeGrant, SubscribeRequest
from hotclub.hooks.calling import (
    Project,
    Steps,
    answering,
    ask,
    bucket,
    client_of,
    encoded,
    is_open,
    logging_failure,
    optional,
    route_of,
)


def may_subscribe(config: Config, client: Client, route: Route) -> Steps[None]:
    """Ask `can_subscribe`, unless a token or the settings stand for it. See `is_open`.

    Raises:
        Refused: `PERMISSION_DENIED`, the hook says no.
    """
    if is_open(config, route.channel, "can_subscribe"):
        return
    if not (yield ask(route.channel.can_subscribe, client, **route.kwargs)):
        raise Refused(Code.PERMISSION_DENIED)


def _guarded(route: Route, admits: Predicate | None) -> Predicate | None:
    """Return a filter that logs the exception of the project's filter, and then holds the publication back."""
    if admits is None:
        return None

    def guarded(tags: Mapping[str, str]) -> bool:
        try:
            return bool(admits(tags))
        except Exception:  # noqa: BLE001 - a hook is foreign code
            logger.exception("The filter that tags_filter() of %r returned failed", route.pattern)
            return False

    return guarded


class SubscribeHooks:
    """Implements the engine's `Subscribes` for the project."""

    def __init__(self, project: Project, admission: Admission) -> None:
        self._config = project.config
        self._hooks = project.hooks
        self._traffic = project.traffic
        self._admission = admission

    async def subscribe(
        self, client: EngineClient, channel: ResolvedChannel, request: SubscribeRequest
    ) -> SubscribeGrant:
        """See `Subscribes.subscribe`.

        Raises:
            Refused: `PERMISSION_DENIED`, the token is missing or opens nothing, or `can_subscribe` says no;
                `TOKEN_EXPIRED` or `EXPIRED` for a token; `TOO_MANY_REQUESTS`; or as `HookRunner.run`.
            Disconnect: `INVALID_TOKEN`, the token is for another channel, user or connection; or a hook's.
        """
        route, mine = route_of(channel), client_of(client)
        self._traffic.subscribe(bucket(mine))
        with answering(route.pattern):
            return await self._hooks.run(mine, self._decide(mine, route, request.token), request.data)

    def _decide(self, mine: Client, route: Route, token: str) -> Steps[SubscribeGrant]:
        signed = yield from self._signed(mine, route, token)
        yield from may_subscribe(self._config, mine, route)
        info = yield from optional(route, "channel_info", mine)
        data = yield from optional(route, "on_subscribe", mine)
        admits = yield from optional(route, "tags_filter", mine)
        hooks = route.channel
        return SubscribeGrant(
            admits=_guarded(route, admits),
            info=signed.info if info is None else encoded(hooks.channel_info, info),
            data=signed.data if data is None else encoded(hooks.on_subscribe, data),
            ttl=signed.ttl,
            overrides=signed.overrides,
        )

    def _signed(self, mine: Client, route: Route, token: str) -> Steps[SubscribeGrant]:
        """The grant of the subscription's token. A token must be valid even where the channel needs none."""
        if not token:
            if route.channel.token and not self._config.insecure:
                raise Refused(Code.PERMISSION_DENIED, why="this channel needs a subscription token")
            return SubscribeGrant()
        claims = self._admission.subscription_claims(token)
        fault = (yield ask(login_fault, claims)) if claims.has_login else None
        return self._admission.subscription_grant(claims, mine, route.name, fault)

    async def refresh_subscription(self, client: EngineClient, channel: ResolvedChannel, token: str) -> RefreshGrant:
        """See `Subscribes.refresh_subscription`."""
        return await self._admission.refresh_subscription(client_of(client), channel.name, token)

    def token_channel(self, token: str) -> str:
        """See `Subscribes.token_channel`."""
        return channel_of(token) if token else ""

    async def authorize(self, client: EngineClient, channel: ResolvedChannel) -> None:
        """See `Subscribes.authorize`. Asks `can_subscribe`; a channel with `token` needs a grant as well."""
        route, mine = route_of(channel), client_of(client)
        with answering(route.pattern):
            await self._hooks.run(mine, self.may_read(client, route))

    def may_read(self, client: EngineClient, route: Route, token: str = "") -> Steps[None]:
        """Ask whether a client may read a channel: a subscriber, or a client that could subscribe with this token.

        Raises:
            Refused, Disconnect: as `subscribe`.
        """
        mine = client_of(client)
        if token or (route.channel.token and not client.holds(route.name)):
            yield from self._signed(mine, route, token)
        yield from may_subscribe(self._config, mine, route)

    async def admits(self, client: EngineClient, channel: ResolvedChannel) -> Predicate | None:
        """See `Subscribes.admits`. Asks `tags_filter`."""
        route, mine = route_of(channel), client_of(client)
        with answering(route.pattern):
            admits: Predicate | None = await self._hooks.run(mine, optional(route, "tags_filter", mine))
            return _guarded(route, admits)

    async def unsubscribed(self, client: EngineClient, channel: ResolvedChannel) -> None:
        """See `Subscribes.unsubscribed`. Calls `on_unsubscribe`, and logs its failure."""
        await self._notify("on_unsubscribe", client, channel)

    async def presence_changed(self, client: EngineClient, channel: ResolvedChannel, *, joined: bool) -> None:
        """See `Subscribes.presence_changed`. Calls `on_presence_change`, and logs its failure."""
        await self._notify("on_presence_change", client, channel, joined)

    async def _notify(self, hook: str, client: EngineClient, channel: ResolvedChannel, *args: Any) -> None:
        if isinstance(client.state, Client):
            route = route_of(channel)
            with logging_failure(route.pattern):
                await self._hooks.run(client.state, optional(route, hook, client.state, *args), about=hook)
