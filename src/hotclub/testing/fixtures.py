"""What the pytest fixture is made of."""

from collections.abc import Iterator
from contextlib import contextmanager

from hotclub.testing.client import HotclubClient
from hotclub.testing.site import Site, abandon_site, enter_site, leave_site
from hotclub.testing.threads import lend_connections


class LastingClient(HotclubClient):
    """The client of an async test, made by a fixture that is not async: keeps its site until `release`."""

    async def enter_site(self) -> Site:
        """See `HotclubClient.enter_site`."""
        if not self._held:
            self._held.append(await enter_site())
        return await enter_site()

    def release(self) -> None:
        """Leave the site, after the test."""
        while self._held:
            site = self._held.pop()
            if site.ended:
                abandon_site()
            else:
                site.loop.run_until_complete(leave_site(site))


@contextmanager
def client_for_test(*, asynchronous: bool) -> Iterator[HotclubClient]:
    """A client whose site lasts as long as the block."""
    if not asynchronous:
        with HotclubClient() as client:
            yield client
        return
    with lend_connections():
        lasting = LastingClient()
        try:
            yield lasting
        finally:
            lasting.release()
