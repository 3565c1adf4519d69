"""What a Django developer writes in an app's `channels.py`: `Channel` classes, one per namespace, and procedures."""

# ruff: noqa: ARG002, D417 - the hooks are there to be overridden; `**values` stands for the captured values

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Literal

from hotclub.channels.client import Client
from hotclub.conf.values import Rate


@dataclass(frozen=True, slots=True)
class History:
    """How much of a channel is kept: the newest `size` publications, each for `ttl`."""

    size: int
    """The most publications that are kept."""
    ttl: timedelta
    """How long each of them is kept."""
    durable: bool = False
    """Whether publications are rows of the project's database, written in the transaction of the code that publishes.
    Otherwise the engine keeps them."""


class Channel:
    """One namespace of channels. Subclass it in an installed app's `channels.py`.

    Hotclub calls every hook with the client and with the values that `pattern` captures as keyword arguments. A plain
    function runs in the thread pool and may use the ORM, an `async` one runs in the event loop. One instance serves all
    channels of the namespace: keep no state in it.

    A hook refuses by raising `Refused`, which answers the client's command with an error, `Disconnect`, which ends the
    connection, or Django's `PermissionDenied` (error 103) and `ValidationError` (error 400). Hotclub logs any other
    exception and answers with error 100. When the connection ends while a hook runs, an `async` hook is cancelled; a
    plain one runs to its end, and its result is dropped.

    A class that is only a base for others says so: `class Base(Channel, abstract=True)`.
    """

    pattern: ClassVar[str]
    """The channel's name with Django's path converters, such as `chat:<int:room_id>`."""
    history: ClassVar[History | None] = None
    """How much of each channel is kept; None for nothing."""
    presence: ClassVar[bool] = False
    """Whether members can ask who is here, and are told who joins and leaves."""
    recovery: ClassVar[bool | Literal["cache"]] = True
    """Whether a client that was away gets what it missed. `"cache"`: only the newest publication, which new subscribers
    get as well. Needs `history`."""
    position: ClassVar[bool] = False
    """Without `recovery`: whether a client that misses a publication is told, and subscribes anew. Needs `history`."""
    delta: ClassVar[bool] = False
    """Whether clients may get the differences between publications instead of the publications."""
    filters: ClassVar[bool] = False
    """Whether clients may choose publications by their tags. These publications then come without differences."""
    compaction: ClassVar[bool] = False
    """Whether publications name the channel by a number, which is shorter. Only clients of the JSON form that
    understand the number get it."""
    token: ClassVar[bool] = False
    """Whether a client needs a subscription token (`hotclub.tokens.subscription_token`) to subscribe. The token is
    permission enough; a class that has a `can_subscribe` as well asks both."""
    rate: ClassVar[Rate | None] = None
    """How often one user may publish here, such as `Rate(20, per=2)`; beyond it a publish is error 111."""
    presence_clients: ClassVar[str] = ""
    """The name of a map in which every subscriber stands under the connection's id, such as `"online:{channel}"`;
    `{channel}` is this channel's name, and the captured values are known by theirs."""
    presence_users: ClassVar[str] = ""
    """The name of a map in which every subscriber stands under the user's id; made like that of `presence_clients`."""
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
        """Whether this client may be in the channel.

        Hotclub asks at every subscribe, and again when the client asks for presence or history.

        What the client sent with its subscribe command is `client.data`, None when Hotclub asks again.

        Args:
            client: the connection that wants to subscribe.
            **values: what `pattern` captures.

        Returns:
            A true value to allow the subscription; a false one refuses it with error 103.
        """
        raise NotImplementedError(f"{type(self).__name__} has no can_subscribe(); write one that returns True or False")

    def can_publish(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """Whether this subscriber may publish. Unless overridden: whether the class has an `on_publish`.

        Args:
            client: the connection that wants to publish.
            **values: what `pattern` captures.

        Returns:
            A true value to allow the publish; a false one refuses it with error 103.
        """
        return type(self).on_publish is not Channel.on_publish

    def on_publish(self, client: Client, data: Any, *args: Any, **kwargs: Any) -> Any:
        """A client published. The hook checks the data, stores what the project needs, and says what everybody gets.

        In a durable channel the hook is a plain function and runs in the transaction that appends the result: an
        exception rolls back both.

        Args:
            client: the connection that published.
            data: decoded JSON.
            **values: what `pattern` captures.

        Returns:
            What subscribers get instead of `data`. The `Position` of what the hook has published itself, or None, to
            accept the publish without a publication.
        """
        return data

    def on_subscribe(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """The client may subscribe and is about to; called after `can_subscribe`.

        What the client sent with its subscribe command is `client.data`.

        Args:
            client: the connection that subscribes.
            **values: what `pattern` captures.

        Returns:
            JSON for the subscriber, which comes with the reply; None for nothing.
        """

    def on_unsubscribe(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """The client's subscription has ended, for whatever reason. Nobody waits for the hook, so it refuses nothing:
        Hotclub logs what it raises.

        Args:
            client: the connection whose subscription has ended.
            **values: what `pattern` captures.
        """

    def on_presence_change(self, client: Client, joined: bool, *args: Any, **kwargs: Any) -> Any:
        """The client has joined the channel, or left it. Only with `presence`. Nobody waits for the hook, so it refuses
        nothing: Hotclub logs what it raises.

        Args:
            client: the connection that joined or left.
            joined: True for a join, False for a leave.
            **values: what `pattern` captures.
        """

    def get_state(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """What the channel is about, as it stands now: for a client that comes for the first time or was away too long.

        Clients call the procedure `hotclub.state` with `{"channel": …}`, and with a `token` where the channel needs one
        that the client has not subscribed with yet. The reply is `{"state": …}`, with the `epoch`
        and `offset` to subscribe from where the channel has history. Hotclub asks `can_subscribe` first. A publication
        that arrives while the hook runs may be both in the state and after the position.

        Args:
            client: the connection that asks.
            **values: what `pattern` captures.

        Returns:
            The state, as JSON.
        """

    def tags_filter(self, client: Client, *args: Any, **kwargs: Any) -> Callable[[Mapping[str, str]], bool] | None:
        """Which publications this client may have, by their tags.

        Hotclub asks at the subscribe, that of the server included, and for the history. Publications of a channel with
        this hook come without differences.

        Args:
            client: the connection that subscribes or reads the history.
            **values: what `pattern` captures.

        Returns:
            A function that takes the tags of a publication and returns whether the client may have it; None for all
            publications.
        """
        return None

    def channel_info(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """What members see of this client in this channel (`chan_info`); called at the subscribe.

        Args:
            client: the connection that subscribes.
            **values: what `pattern` captures.

        Returns:
            JSON; None for nothing.
        """
