"""The one channel of this project: recoverable, kept in memory."""

from datetime import timedelta

from hotclub import Channel, Client, History


class BenchmarkChannel(Channel):
    pattern = "benchmark"
    history = History(size=100, ttl=timedelta(minutes=1))

    async def can_subscribe(self, client: Client) -> bool:  # noqa: ARG002 - hooks are called like this
        return True

    async def can_publish(self, client: Client) -> bool:  # noqa: ARG002 - the same
        return True
