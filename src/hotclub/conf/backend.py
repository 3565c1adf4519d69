"""The back end that the settings name."""

from django.utils.module_loading import import_string

from hotclub.conf.config import Config
from hotclub.engine.backend import Backend, MakeBackend, MemoryBackend


def make_backend(config: Config) -> Backend:
    """The back end of a new node: `HOTCLUB["BACKEND"]`, or memory."""
    make: MakeBackend = MemoryBackend if config.backend is None else import_string(config.backend)
    return make(config.engine, config.limits)
