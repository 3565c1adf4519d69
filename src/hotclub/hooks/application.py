"""Makes the engine's `Application` from the project: one class of hooks per protocol of the port."""

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
    """The application of one node.

    Args:
        registry: the project's channels and procedures.
        config: the settings.
        hooks: the pool for the project's own code.
        inner: the pool for tokens and logins, which must not wait for hooks.
        watch: the connections whose logins are checked again.
        traffic: the rate limits; None for new ones by the settings.
        keeps: this server keeps the logs of the channels. False behind a stand-alone server, which keeps them.
    """
    runner = HookRunner(hooks, config.hook_timeout)
    project = Project(
        registry=registry, config=config, hooks=runner, traffic=traffic or Traffic(config.rates), keeps=keeps
    )
    admission = Admission(config, inner)
    subscribes = SubscribeHooks(project, admission)
    return Application(
        explains=settings.DEBUG,
        resolve=registry.resolve,
        connects=ConnectHooks(project, admission, watch),
        subscribes=subscribes,
        publishes=PublishHooks(project),
        follows=KeyedHooks(project),
        calls=CallHooks(project, subscribes),
    )
