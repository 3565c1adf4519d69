"""The state behind a channel, with the position that it stands for: what a client loads that cannot recover.

A client asks with the procedure `hotclub.state`, renders what it gets, and subscribes from the position that came with
it (the SDKs call this getState). So it needs no second way to the same data.
"""

from typing import Any, Final

from hotclub.actions.connections import ahistory
from hotclub.channels.registry import Route
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.model import Position

METHOD: Final = "hotclub.state"
"""The procedure's name; no project can have one of the same."""


def channel_of(arguments: Any) -> str:
    """The channel that the procedure's data names.

    Raises:
        Refused: `BAD_REQUEST`, there is none.
    """
    channel = arguments.get("channel") if isinstance(arguments, dict) else None
    if not isinstance(channel, str) or not channel:
        raise Refused(Code.BAD_REQUEST, "hotclub.state needs a channel")
    return channel


async def position_of(route: Route, channel: str) -> Position | None:
    """Where the channel stands now; None without history. To be read before the state: then what is published between
    the two comes once more, and nothing is missed."""
    if not route.spec.positioned:
        return None
    return (await ahistory(channel, limit=0)).top


def answer(state: Any, position: Position | None) -> dict[str, Any]:
    """What the procedure returns. A channel without history has no position to subscribe from."""
    if position is None:
        return {"state": state}
    return {"state": state, "epoch": position.epoch, "offset": position.offset}
