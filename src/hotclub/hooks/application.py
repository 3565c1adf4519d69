"""The project as the engine's `Application`: one class of hooks per protocol of the port, composed here."""

from django.conf import settings

from hotclub.access.admission import Admission
from hotclub.access.rates import Traffic
from hotclub.channels.registry import Registry
from hotclub.conf.config import Config
from hotclub.engine.port import Application
from hotclub.hooks.calling import HookRunner, Project
from hotclub.hooks.connect import ConnectHooks
from hotclub.hooks.keyed import KeyedHooks
from hotclub.hooks.publish import PublishHooks
from hotclub.hooks.rpc import CallHooks
from hotclub.hooks.subscribe import SubscribeHooks
from hotclub.revocation.watch import SessionWatch
from hotclub.runtime.pool import HookPool


def compose(
    registry: Registry,
    config: Config,
    *,
    hooks: HookPool,
    inner: HookPool,
    watch: SessionWatch,
    traffic: Traffic | None = None,
    keeps: bool = True,
) -> Application:
    """What one node asks of the project.

    `hooks` is the pool for the project's own code, `inner` the one for signing in. Unless it `keeps` them, the logs of
    durable channels are somebody else's.
    """
    runner = HookRunner(hooks)
    project = Project(
        registry=registry, config=config, hooks=runner, traffic=traffic or Traffic(config.rates), keeps=keeps
    )
    admission = Admission(config, inner)
    return Application(
        explains=settings.DEBUG,
        resolve=registry.resolve,
        connects=ConnectHooks(project, admission, watch),
        subscribes=SubscribeHooks(project, admission),
        publishes=PublishHooks(project),
        follows=KeyedHooks(project, hooks),
        calls=CallHooks(project),
    )
