"""What a Django developer writes in an app's `channels.py`: `Channel` classes, one per namespace, and procedures."""

# ruff: noqa: ARG002 - the hooks below are there to be overridden; their arguments are the contract

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Literal

from hotclub.channels.client import Client
from hotclub.conf.values import Rate


@dataclass(frozen=True, slots=True)
class History:
    """How much of a channel is kept: the newest `size` publications, each for `ttl`.

    `durable` keeps them as rows of the project's database, written in the transaction of whoever publishes; otherwise
    they are kept by the engine.
    """

    size: int
    ttl: timedelta
    durable: bool = False


class Channel:
    """One namespace of channels. Subclass it in an installed app's `channels.py`.

    Every hook is called with the client and the values captured by `pattern` as keyword arguments. A plain function
    runs in the thread pool and may use the ORM, an `async` one runs in the event loop. To refuse, a hook may raise
    `Refused`, `Disconnect`, or Django's `PermissionDenied` and `ValidationError`; any other exception is logged
    and answered with error 100. One instance serves all channels of the namespace: keep no state in it.

    A class that is only a base for others says so: `class Base(Channel, abstract=True)`.
    """

    pattern: ClassVar[str]
    """The channel's name with Django's path converters, such as `chat:<int:room_id>`."""
    history: ClassVar[History | None] = None
    presence: ClassVar[bool] = False
    """Members can ask who is here, and are told who joins and leaves."""
    recovery: ClassVar[bool | Literal["cache"]] = True
    """Whether a client that was away gets what it missed. `"cache"`: only the newest publication, and new subscribers
    get that one as well. Needs `history`."""
    position: ClassVar[bool] = False
    """Without `recovery`: a client that misses a publication is told so, and subscribes anew. Needs `history`."""
    delta: ClassVar[bool] = False
    """Clients may get the differences between publications instead of the publications."""
    filters: ClassVar[bool] = False
    """Clients may choose publications by their tags; those then come without differences."""
    compaction: ClassVar[bool] = False
    """Publications name the channel by a number, which is shorter, to clients of the JSON form that understand it."""
    token: ClassVar[bool] = False
    """A client needs a subscription token (`hotclub.tokens.subscription_token`) to subscribe. The token is permission
    enough; a class that has a `can_subscribe` as well asks both."""
    rate: ClassVar[Rate | None] = None
    """How often one user may publish here, such as `Rate(20, per=2)`; beyond it a publish is error 111."""
    presence_clients: ClassVar[str] = ""
    """The name of a map in which every subscriber stands under the connection's id, such as `"online:{channel}"`;
    `{channel}` is this channel's name, and the captured values are known by theirs."""
    presence_users: ClassVar[str] = ""
    """The same for a map in which every subscriber stands under the user's id."""
    publication: ClassVar[Any] = None
    """The type of what subscribers get, such as a `TypedDict`, for clients in other languages (`manage.py
    hotclub_types`). None: what `on_publish` is annotated to return."""
    message: ClassVar[Any] = None
    """The type of what clients publish. None: as `on_publish` annotates its `data`."""
    abstract: ClassVar[bool] = False

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.abstract = abstract

    def can_subscribe(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """Whether this client may be in the channel. Asked at every subscribe, and again for presence and history.

        What the client sent with its subscribe command is `client.data`, None when it is asked again.
        """
        raise NotImplementedError(f"{type(self).__name__} has no can_subscribe(); write one that returns True or False")

    def can_publish(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """Whether this subscriber may publish. Unless overridden: if the class has an `on_publish`."""
        return type(self).on_publish is not Channel.on_publish

    def on_publish(self, client: Client, data: Any, *args: Any, **kwargs: Any) -> Any:
        """A client published `data` (decoded JSON). Return what everybody gets instead.

        Return the `Position` of what the hook has published itself, or None to accept the publication without anybody
        getting anything. In durable channels this runs in the transaction that appends the result.
        """
        return data

    def on_subscribe(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """The client may subscribe and is about to. What is returned goes to the subscriber with the reply."""

    def on_unsubscribe(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """The client's subscription has ended, for whatever reason."""

    def on_presence_change(self, client: Client, joined: bool, *args: Any, **kwargs: Any) -> Any:
        """The client has joined the channel, or left it. Only with `presence`."""

    def get_state(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """What the channel is about, as it stands now: for a client that comes for the first time or was away for too
        long. Clients call the procedure `hotclub.state` with `{"channel": …}`; the reply is `{"state": …}`, with the
        `epoch` and `offset` to subscribe from when there is history. What is published meanwhile may be in both.
        """

    def tags_filter(self, client: Client, *args: Any, **kwargs: Any) -> Callable[[Mapping[str, str]], bool] | None:
        """A function of a publication's tags that says whether this client may have it; None for all of them. Asked
        for at the subscribe, the server's own included, and for the history. Publications then come without
        differences."""
        return None

    def channel_info(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """JSON that members see of this client in this channel (`chan_info`)."""
