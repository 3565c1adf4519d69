"""Maps: channels that hold the newest value of each key. The functions have async twins with an `a` in front."""

from hotclub.actions.maps import (
    amap_clear,
    amap_publish,
    amap_remove,
    amap_state,
    amap_stats,
    map_clear,
    map_publish,
    map_remove,
    map_state,
    map_stats,
)
from hotclub.channels.maps import MapChannel, MapEntry
from hotclub.engine.broker.maps import MapOutcome, MapPage, MapStats, Suppressed

__all__ = [
    "MapChannel",
    "MapEntry",
    "MapOutcome",
    "MapPage",
    "MapStats",
    "Suppressed",
    "amap_clear",
    "amap_publish",
    "amap_remove",
    "amap_state",
    "amap_stats",
    "map_clear",
    "map_publish",
    "map_remove",
    "map_state",
    "map_stats",
]
