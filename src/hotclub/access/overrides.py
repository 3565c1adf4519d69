"""Overrides: options of one subscription from a token or the HTTP API (protocol §7, §8)."""

from msgspec import Struct

from hotclub.engine.port import Overrides


class BoolValue(Struct, frozen=True):
    """The value of an option that a token or a request names."""

    value: bool = False


class Override(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options of one subscription. An option that is left out is as in the channel's class.

    An override gives no presence to a class without presence, and no positions or recovery to a class without history.
    """

    presence: BoolValue | None = None
    """Whether presence shows the subscriber."""
    join_leave: BoolValue | None = None
    """Whether members are told when the subscriber joins and leaves."""
    force_push_join_leave: BoolValue | None = None
    """Whether the subscriber is told who joins and leaves."""
    force_recovery: BoolValue | None = None
    force_positioning: BoolValue | None = None


def read(override: Override | None) -> Overrides:
    """Return the engine's form of an override. None changes no option."""
    if override is None:
        return Overrides()
    return Overrides(
        presence=_value(override.presence),
        join_leave=_value(override.join_leave),
        push_join_leave=_value(override.force_push_join_leave),
        recoverable=_value(override.force_recovery),
        position=_value(override.force_positioning),
    )


def write(overrides: Overrides) -> Override:
    """Return the wire's form of the engine's overrides."""
    return Override(
        presence=_switch(overrides.presence),
        join_leave=_switch(overrides.join_leave),
        force_push_join_leave=_switch(overrides.push_join_leave),
        force_recovery=_switch(overrides.recoverable),
        force_positioning=_switch(overrides.position),
    )


def _value(switch: BoolValue | None) -> bool | None:
    return None if switch is None else switch.value


def _switch(value: bool | None) -> BoolValue | None:
    return None if value is None else BoolValue(value)
