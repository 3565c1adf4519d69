"""Writes a project's interface as TypeScript. The same declarations give the same text."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from hotclub.describe.interface import REFERENCE, ChannelInterface, Interface, Parameter, ProcedureInterface, Schema

_HEADER: Final = "// Made by `manage.py hotclub_types` from the project's channels and procedures. Changes are lost.\n"
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_PLAIN: Final = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean", "null": "null"}
_NOTHING: Final = "Record<string, never>"


def typescript(interface: Interface) -> str:
    """Return the text of a TypeScript module: a type for each named schema, the interfaces `Channels` and `Procedures`
    with the types of their data, and the object `channels`, whose functions make channel names."""
    parts = [_HEADER]
    parts += [f"export type {_type_name(name)} = {_type(schema)};\n" for name, schema in interface.schemas.items()]
    parts.append(_interface("Channels", (_channel(channel) for channel in interface.channels)))
    parts.append(_interface("Procedures", map(_procedure, interface.procedures)))
    parts.append(_names(interface))
    return "\n".join(parts)


def _interface(name: str, members: Iterator[str]) -> str:
    body = "".join(members)
    return f"export interface {name} {{\n{body}}}\n"


def _channel(channel: ChannelInterface) -> str:
    pattern = _template(channel, lambda parameter: f"${{{_parameter_type(parameter)}}}")
    return _member(
        channel.name,
        channel.summary,
        {
            "name": pattern,
            "publication": _type(channel.publication, 2),
            "message": "never" if channel.message is None else _type(channel.message, 2),
            "info": _type(channel.info, 2),
            "data": _type(channel.data, 2),
        },
    )


def _procedure(procedure: ProcedureInterface) -> str:
    carried = {"arguments": _type(procedure.arguments, 2), "result": _type(procedure.result, 2)}
    return _member(procedure.name, procedure.summary, carried)


def _member(name: str, summary: str, carried: Mapping[str, str]) -> str:
    lines = "".join(f"    readonly {key}: {kind};\n" for key, kind in carried.items())
    return f"{_comment(summary)}  readonly {_key(name)}: {{\n{lines}  }};\n"


def _names(interface: Interface) -> str:
    functions = "".join(map(_name_function, interface.channels))
    return f"/** The names of channels. */\nexport const channels = {{\n{functions}}};\n"


def _name_function(channel: ChannelInterface) -> str:
    text = _template(channel, lambda parameter: f"${{values.{parameter.name}}}")
    if not channel.parameters:
        return f"  {channel.name}: () => {text} as const,\n"
    values = "; ".join(f"readonly {item.name}: {_parameter_type(item)}" for item in channel.parameters)
    return f"  {channel.name}: (values: {{ {values} }}) => {text} as const,\n"


def _template(channel: ChannelInterface, place: Callable[[Parameter], str]) -> str:
    """The channel's pattern as a template literal, with the text of `place(parameter)` for each captured value."""
    literal = channel.pattern.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
    return f"`{replace(channel, pattern=literal).address(place)}`"


def _parameter_type(parameter: Parameter) -> str:
    return "number" if parameter.whole else "string"


def _type(schema: Schema, depth: int = 0) -> str:
    """The type of a schema, with members indented below `depth`."""
    if "$ref" in schema:
        return _type_name(schema["$ref"].removeprefix(REFERENCE))
    if "enum" in schema:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(variant, depth) for variant in schema["anyOf"]))
    if schema.get("type") == "array":
        return _array(schema, depth)
    if schema.get("type") == "object":
        return _object(schema, depth)
    return _PLAIN.get(schema.get("type", ""), "unknown")


def _array(schema: Schema, depth: int) -> str:
    if "prefixItems" in schema:
        return f"readonly [{', '.join(_type(item, depth) for item in schema['prefixItems'])}]"
    items: Any = schema.get("items", {})
    if items is False:
        return "readonly []"
    return f"ReadonlyArray<{_type(items, depth)}>"


def _object(schema: Schema, depth: int) -> str:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    if not properties:
        others = schema.get("additionalProperties", {})
        return _NOTHING if others is False or "properties" in schema else _dictionary(others, depth)
    required = schema.get("required", ())
    indent = "  " * (depth + 1)
    members = "".join(
        f"{indent}readonly {_key(name)}{'' if name in required else '?'}: {_type(kind, depth + 1)};\n"
        for name, kind in properties.items()
    )
    return f"{{\n{members}{'  ' * depth}}}"


def _dictionary(values: Any, depth: int) -> str:
    return f"{{ readonly [key: string]: {_type(values, depth) if isinstance(values, Mapping) else 'unknown'} }}"


def _key(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name)


def _type_name(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _comment(text: str) -> str:
    # The text may hold the characters that end a comment.
    return f"  /** {text.replace('*/', '* /')} */\n" if text else ""
