"""A project's interface as an AsyncAPI 3.0 document.

The document is written from the project's side: it *sends* publications, and *receives* what clients publish and call.
"""

import re
from typing import Any, Final

from hotclub.describe.interface import ChannelInterface, Interface, Parameter, ProcedureInterface, Schema

VERSION: Final = "3.0.0"


def asyncapi(interface: Interface, *, title: str, version: str, host: str = "", path: str = "") -> dict[str, Any]:
    """Return the AsyncAPI document, for JSON.

    Args:
        interface: the channels and procedures of the project.
        title: the project's name.
        version: the version of the interface.
        host: the host name of the site, "" to leave the server out.
        path: the path of the WebSocket.
    """
    document: dict[str, Any] = {
        "asyncapi": VERSION,
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
    }
    if host:
        about = "The Centrifuge client protocol; channels and procedures below are what it carries."
        document["servers"] = {"site": {"host": host, "protocol": "wss", "pathname": path, "description": about}}
    document["channels"] = {}
    document["operations"] = {}
    document["components"] = {"schemas": dict(interface.schemas)}
    for channel in interface.channels:
        _add_channel(document, channel)
    for procedure in interface.procedures:
        _add_procedure(document, procedure)
    return document


def _add_channel(document: dict[str, Any], channel: ChannelInterface) -> None:
    messages = {"publication": _message(channel.publication)}
    _add_operation(document, f"{channel.name}.publication", "send", channel.name, "publication")
    if channel.message is not None:
        messages["message"] = _message(channel.message)
        _add_operation(document, f"{channel.name}.message", "receive", channel.name, "message")
    described: dict[str, Any] = {
        "address": channel.address(lambda parameter: f"{{{parameter.name}}}"),
        "messages": messages,
    }
    if channel.summary:
        described["summary"] = channel.summary
    if channel.parameters:
        described["parameters"] = {item.name: {"description": _explained(item)} for item in channel.parameters}
    document["channels"][channel.name] = described


def _explained(parameter: Parameter) -> str:
    return "a whole number" if parameter.whole else f"text ({parameter.converter})"


def _add_procedure(document: dict[str, Any], procedure: ProcedureInterface) -> None:
    key = re.sub(r"[^\w.-]", "_", f"rpc.{procedure.name}")
    described: dict[str, Any] = {
        "address": None,
        "title": procedure.name,
        "messages": {"arguments": _message(procedure.arguments), "result": _message(procedure.result)},
    }
    if procedure.summary:
        described["summary"] = procedure.summary
    document["channels"][key] = described
    operation = _add_operation(document, key, "receive", key, "arguments")
    operation["reply"] = {"channel": _channel_reference(key), "messages": [_message_reference(key, "result")]}


def _add_operation(document: dict[str, Any], name: str, action: str, channel: str, message: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": action,
        "channel": _channel_reference(channel),
        "messages": [_message_reference(channel, message)],
    }
    document["operations"][name] = operation
    return operation


def _channel_reference(channel: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}"}


def _message_reference(channel: str, message: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}/messages/{message}"}


def _message(payload: Schema) -> dict[str, Any]:
    return {"payload": dict(payload)}
