"""Decides on connections: by tokens, tickets and logins, and by the ON_CONNECT and ON_DISCONNECT hooks."""

from typing import Final

from django.utils.module_loading import import_string

from hotclub.access.admission import Admission, Admitted
from hotclub.channels.client import Client
from hotclub.channels.welcome import Welcome
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.names import normal, personal_name
from hotclub.engine.port import Client as EngineClient
from hotclub.engine.port import ConnectGrant, ConnectRequest, RefreshGrant, SubscribeGrant
from hotclub.hooks.calling import Hook, Project, answering, client_of, encoded, logging_failure
from hotclub.revocation.watch import SessionWatch

NOT_SIGNED_IN: Final = "not signed in (ALLOW_ANONYMOUS is off)"


class ConnectHooks:
    """Implements the engine's `Connects` for the project."""

    def __init__(self, project: Project, admission: Admission, watch: SessionWatch) -> None:
        self._config = config = project.config
        self._hooks = project.hooks
        self._traffic = project.traffic
        self._admission = admission
        self._watch = watch
        self._on_connect: Hook | None = import_string(config.on_connect) if config.on_connect else None
        self._on_disconnect: Hook | None = import_string(config.on_disconnect) if config.on_disconnect else None

    async def connect(self, client: EngineClient, request: ConnectRequest) -> ConnectGrant:
        """See `Connects.connect`. `disconnected` must follow a grant.

        Raises:
            Refused: as `Admission.enter` and the ON_CONNECT hook.
            Disconnect: `BAD_REQUEST`, the client is not signed in; or as `Admission.enter`, `Traffic.connect` and the
                hook.
        """
        doubts = self._watch.doubts
        with answering("connect"):
            admitted = await self._admission.enter(client, request.token)
            mine = admitted.client
            mine.claimed_headers = {name.lower(): value for name, value in request.headers.items()}
            if not self._is_welcome(mine):
                raise Disconnect(Close.BAD_REQUEST, why=NOT_SIGNED_IN, accuses=False)
            self._traffic.connect(mine.user_id, mine.address)
            try:
                grant = await self._granted(admitted, request)
            except BaseException:
                self._traffic.disconnect(mine.user_id, mine.address)
                raise
        if not mine.is_anonymous or mine.login_id:
            self._watch.add(mine, admitted.ends, doubts=doubts)
        return grant

    def _is_welcome(self, mine: Client) -> bool:
        """Whether the client may connect: it is signed in, has a token, or the settings allow anonymous clients."""
        open_to_all = self._config.allow_anonymous or self._config.insecure
        return open_to_all or not mine.is_anonymous or mine.token_channels is not None

    async def _granted(self, admitted: Admitted, request: ConnectRequest) -> ConnectGrant:
        mine, hook = admitted.client, self._config.on_connect or "ON_CONNECT"
        before = mine.info
        welcome = None
        if self._on_connect is not None:
            welcome = await self._hooks.call(mine, self._on_connect, data=request.data)
        if not isinstance(welcome, Welcome):
            welcome = Welcome(data=welcome)
        channels = {**admitted.channels, **self._personal(mine, admitted)}
        for name, data in welcome.subscriptions().items():
            channels[normal(name)] = SubscribeGrant(data=encoded(hook, data))
        return ConnectGrant(
            user_id=mine.user_id,
            login_id=mine.login_id,
            info=admitted.info if mine.info is before else encoded(hook, mine.info),
            data=encoded(hook, welcome.data),
            channels=channels,
            ttl=admitted.ttl,
            state=mine,
        )

    def _personal(self, mine: Client, admitted: Admitted) -> dict[str, SubscribeGrant]:
        """The grant of a signed-in client's personal channel, unless its token has granted the channel already."""
        if not self._config.personal_channel or mine.is_anonymous:
            return {}
        name = personal_name(mine.user_id)
        return {} if name in admitted.channels else {name: SubscribeGrant()}

    async def refresh(self, client: EngineClient, token: str) -> RefreshGrant:
        """See `Connects.refresh` and `Admission.refresh`."""
        return await self._admission.refresh(client_of(client), token)

    def doubt(self) -> None:
        """See `Connects.doubt`."""
        self._watch.doubt()

    async def disconnected(self, client: EngineClient, code: int, reason: str) -> None:  # noqa: ARG002 - the port's
        """See `Connects.disconnected`. Calls the ON_DISCONNECT hook, and logs its failure."""
        mine = client.state
        if not isinstance(mine, Client):
            return
        self._watch.remove(mine)
        self._traffic.disconnect(mine.user_id, mine.address)
        if self._on_disconnect is not None:
            with logging_failure("the disconnect hook"):
                await self._hooks.call(mine, self._on_disconnect, about="on_disconnect")
