"""Sends a key's value to the followers of a shared poll before the next call of `poll`."""

from typing import Any

from msgspec import Raw

from hotclub.channels.registry import get_registry
from hotclub.conf.config import get_config
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.maps import check_key
from hotclub.engine.model import EMPTY
from hotclub.engine.port import PolledItem
from hotclub.orders.messages import PublishPolled
from hotclub.orders.send import everywhere
from hotclub.runtime.encoding import encode
from hotclub.runtime.node import in_thread, refuse_event_loop


def shared_poll_publish(
    channel: str, key: str, data: Any, *, version: int, removed: bool = False, epoch: str = ""
) -> None:
    """Send a key's new value to its followers in every process of the site, from synchronous code.

    Inside `transaction.atomic()` the value is sent with the commit, or not at all. Hotclub does not keep the value, and
    goes on calling `poll`. Without followers the call does nothing.

    Args:
        channel: the name of a `SharedPollChannel` with versions.
        key: 1 to 256 bytes of text.
        data: what JSON can hold.
        version: the number of the value, as in the answers of `poll`; a version that is not newer is dropped.
        removed: whether the key is gone. The data of a key that is gone is ignored.
        epoch: what the version counts in, as in the answers of `poll`; another epoch than before makes every follower
            begin anew.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `BAD_REQUEST`, the channel is not a shared poll, the key
            is too short or too long, or the version is less than 1; `NOT_AVAILABLE`, the channel has no versions.
        TypeError, ValueError: JSON cannot hold the data.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `ashared_poll_publish`.
    """
    refuse_event_loop("shared_poll_publish")
    publish_item(channel, PolledItem(key=key, data=_data(data, removed), version=version, removed=removed), epoch)


async def ashared_poll_publish(
    channel: str, key: str, data: Any, *, version: int, removed: bool = False, epoch: str = ""
) -> None:
    """`shared_poll_publish` for async code. A cancelled call may have sent the value; repeating it does no harm."""
    item = PolledItem(key=key, data=_data(data, removed), version=version, removed=removed)
    await in_thread(publish_item, channel, item, epoch)


def publish_item(channel: str, item: PolledItem, epoch: str) -> None:
    """Check a value, and send it to its followers in every process. Synchronous; refuses as `shared_poll_publish`."""
    route = get_registry().route(channel)
    spec = route.spec
    if spec.poll is None:
        raise Refused(Code.BAD_REQUEST, "this channel is not a shared poll")
    if not spec.poll.versioned:
        raise Refused(Code.NOT_AVAILABLE, "the values of this shared poll have no versions")
    if item.version < 1:
        raise Refused(Code.BAD_REQUEST, "a version is 1 or higher")
    check_key(item.key, get_config().limits)
    everywhere(PublishPolled(route.name, item, epoch))


def _data(data: Any, removed: bool) -> Raw:
    return EMPTY if removed else encode(data)
