"""The channel of this project."""

from datetime import timedelta

from hotclub import Channel, Client, History


class BenchmarkChannel(Channel):
    """Everybody may subscribe and publish; publications are kept in memory for recovery."""

    pattern = "benchmark"
    history = History(size=100, ttl=timedelta(minutes=1))

    async def can_subscribe(self, client: Client) -> bool:  # noqa: ARG002 - hooks are called like this
        """Allow everybody."""
        return True

    async def can_publish(self, client: Client) -> bool:  # noqa: ARG002 - hooks are called like this
        """Allow everybody."""
        return True
