"""The back end that the settings name."""

from django.utils.module_loading import import_string

from hotclub.conf.config import Config
from hotclub.engine.backend import Backend, MakeBackend, MemoryBackend


def make_backend(config: Config) -> Backend:
    """Make the back end of a new node: the one that `HOTCLUB["BACKEND"]` names, or the memory engine.

    Raises:
        ImportError: the path in the setting cannot be imported.
    """
    make: MakeBackend = MemoryBackend if config.backend is None else import_string(config.backend)
    return make(config.engine, config.limits)
