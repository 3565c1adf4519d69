"""A browser of the site, as a test drives it."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

from django.test import AsyncClient, Client
from msgspec import structs

from hotclub.access.handshake import SESSION_STATE, check_handshake
from hotclub.conf.config import get_config
from hotclub.engine.model import EMPTY
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.messages import ConnectCommand
from hotclub.runtime.encoding import encode
from hotclub.testing.blocking import BlockingConnection
from hotclub.testing.connection import Connection
from hotclub.testing.site import Site, end_loop_thread, enter_site, leave_site, loop_thread
from hotclub.testing.threads import LoopThread


class HotclubClient:
    """A person with a browser, who may sign in and open live connections.

    All connections of a test are connections to one site. The site ends with the last of them, and forgets everything
    that it kept in memory. To keep the site longer, use a client as a block: `async with HotclubClient() as client:`,
    or `with HotclubClient() as client:` in a test that is not async.
    """

    def __init__(
        self, browser: Client | AsyncClient | None = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Nothing is opened before `connect`.

        Args:
            browser: Django's test client whose session this one shares, such as `self.client`; None for a new one.
            headers: are sent with every connection.
        """
        self.browser = Client() if browser is None else browser
        """Django's test client with the same cookies."""
        self.headers = dict(headers or {})
        self._user: Any = None
        self._login: tuple[Any, str | None] | None = None
        self._held: list[Site] = []

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Sign in without a password, as Django's test client does. Open connections keep the user they have.

        In async code the session is made at the next `connect`.

        Args:
            user: the user.
            backend: the dotted path of the authentication backend; None for the first of the settings.
        """
        self._user, self._login = None, None
        if _in_event_loop():
            self._login = (user, backend)
        else:
            self.browser.force_login(user, backend)

    def force_authenticate(self, user: Any) -> None:
        """Be this user without a session, for tests without a database: the user need not be saved. None undoes it."""
        self._user, self._login = user, None

    def logout(self) -> None:
        """Sign out, which ends the connections of the session. For tests that are not async; see `alogout`."""
        self._user, self._login = None, None
        self.browser.logout()

    async def alogout(self) -> None:
        """Sign out, as `logout` does, in async code. The connections of the session have ended when it returns."""
        site = await self.enter_site()
        try:
            await self._log_in(site)
            self._user = None
            await site.pool.run(self.browser.logout)
            await site.settle()
        finally:
            await leave_site(site)

    def connect(
        self,
        *,
        data: Any = None,
        token: str = "",
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> "Opening":
        """Open a connection for the length of a block: `async with client.connect() as c:`.

        Args:
            data: JSON for the connect hook.
            token: a connection token.
            headers: headers of the request, beside the client's own. The cookies are the browser's.
            address: the IP address that the connection comes from.

        Raises:
            Disconnect: when the block is entered, as all of these: the server ended the connection without an answer.
            Refused: the connect hook refused the connection.
            RuntimeError: another node runs in this process, or a test with `async` uses `with`.
            RefusedHandshake: the server refused the request, for example for its origin.
        """
        payload = EMPTY if data is None else encode(data)
        return Opening(self, ConnectCommand(token=token, data=payload), {**self.headers, **(headers or {})}, address)

    def __enter__(self) -> Self:
        thread = _thread("HotclubClient()")
        self._held.append(thread.call(enter_site()))
        return self

    def __exit__(self, *exc: object) -> None:
        loop_thread().call(leave_site(self._held.pop()))
        end_loop_thread()

    async def __aenter__(self) -> Self:
        self._held.append(await enter_site())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await leave_site(self._held.pop())

    async def enter_site(self) -> Site:
        """The site that this client's next connection is to. `leave_site` must follow."""
        return await enter_site()

    async def _log_in(self, site: Site) -> None:
        """Make the session that `force_login` has put off."""
        if self._login is not None:
            (user, backend), self._login = self._login, None
            await site.pool.run(self.browser.force_login, user, backend)

    async def handshake(self, site: Site, headers: Mapping[str, str], address: str) -> Handshake:
        """What a server would know of a connection of this browser with these headers and this address."""
        await self._log_in(site)
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.browser.cookies.items())
        sent = {"host": "testserver", "origin": "http://testserver", "cookie": cookies, **headers}
        scope = {
            "type": "websocket",
            "path": get_config().websocket_path,
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items() if value],
            "client": (address, 50_000),
        }
        handshake = check_handshake(scope, get_config())
        if self._user is None:
            return handshake
        return structs.replace(handshake, state={**handshake.state, SESSION_STATE: site.pool.key_of(self._user)})


class Opening:
    """A connection for the length of a block. Made by `HotclubClient.connect`; each block opens a new one."""

    def __init__(
        self, client: HotclubClient, request: ConnectCommand, headers: Mapping[str, str], address: str
    ) -> None:
        self._client = client
        self._request = request
        self._headers = headers
        self._address = address
        self._open: list[AsyncExitStack] = []

    async def __aenter__(self) -> Connection:
        async with AsyncExitStack() as stack:
            site = await self._client.enter_site()
            stack.push_async_callback(leave_site, site)
            connection = Connection(site, await self._client.handshake(site, self._headers, self._address))
            stack.push_async_callback(connection.close)
            await connection.open(self._request)
            self._open.append(stack.pop_all())
        return connection

    async def __aexit__(self, *exc: object) -> None:
        await self._open.pop().aclose()

    def __enter__(self) -> BlockingConnection:
        thread = _thread("client.connect()")
        try:
            return BlockingConnection(thread.call(self.__aenter__()), thread)
        except BaseException:
            end_loop_thread()
            raise

    def __exit__(self, *exc: object) -> None:
        loop_thread().call(self.__aexit__())
        end_loop_thread()


def _thread(what: str) -> LoopThread:
    """The thread of the event loop, for a test that is not async.

    Raises:
        RuntimeError: the test is async.
    """
    if _in_event_loop():
        raise RuntimeError(f"In async code write `async with {what}`")
    return loop_thread()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
