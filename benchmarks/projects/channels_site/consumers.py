"""The consumer of this project."""

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer


class BenchmarkConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Sends each message of a client to all clients."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("benchmark", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 - the hook is called like this
        await self.channel_layer.group_discard("benchmark", self.channel_name)

    async def receive_json(self, content: Any, **_kwargs: Any) -> None:
        await self.channel_layer.group_send("benchmark", {"type": "benchmark.message", "data": content})

    async def benchmark_message(self, event: dict[str, Any]) -> None:
        await self.send_json(event["data"])
