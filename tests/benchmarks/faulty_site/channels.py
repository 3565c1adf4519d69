"""A channel that does with every tenth message what `BENCHMARK_FAULT` says."""

import os
from typing import Any

import hotclub
from benchmarks.projects.hotclub_site import channels

FAULT = os.environ["BENCHMARK_FAULT"]


class FaultyChannel(channels.BenchmarkChannel):
    async def on_publish(self, client: hotclub.Client, data: Any) -> Any:
        if not data["seq"].endswith("7"):
            return data
        if FAULT == "double":
            await hotclub.apublish("benchmark", data)
        elif FAULT == "refuse":
            raise hotclub.Refused(400, "never a seven")
        elif FAULT == "disconnect":
            raise hotclub.Disconnect(4100, "never a seven")
        return None if FAULT == "lose" else data
