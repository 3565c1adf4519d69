"""What a token, the HTTP API or a hook wants of one subscription in another way than its channel does it (§7, §8)."""

from msgspec import Struct

from hotclub.engine.port import Overrides


class BoolValue(Struct, frozen=True):
    """A switch that is there: on or off."""

    value: bool = False


class Override(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options of one subscription; what is left out is as the channel's class says.

    A class without presence cannot be given it here, nor one without history positions or recovery.
    """

    presence: BoolValue | None = None
    """Whether the subscriber is among those present."""
    join_leave: BoolValue | None = None
    """Whether its coming and going is announced."""
    force_push_join_leave: BoolValue | None = None
    """Whether it is told who comes and goes."""
    force_recovery: BoolValue | None = None
    force_positioning: BoolValue | None = None


def read(override: Override | None) -> Overrides:
    """The same in the engine's words."""
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
    """The same in the words of the wire."""
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
