"""What of the contracts others may rely on, as flat text, and which changes to it break them.

`published.json` beside this file is the contract that has been published. The tests compare it with the `.proto`
files; `python -m tests.proto.contract` writes it anew after additions, and refuses to after a breaking change.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

SOURCES = Path(__file__).resolve().parents[2] / "proto"
PUBLISHED = Path(__file__).with_name("published.json")

Contract = dict[str, str]
"""Element, e.g. `kafka_ws.filter.v1.Header.1`, to what it is, e.g. `string key`. Messages, fields and enum values (by
number), reserved numbers, and methods are elements."""


class ProtocError(Exception):
    """protoc refused a source."""


def compile_contracts(root: Path = SOURCES) -> FileDescriptorSet:
    """The descriptors, comments included, of all `.proto` files below a folder.

    :raises ProtocError: when one is wrong; protoc has written why to standard error.
    """
    sources = sorted(str(path.relative_to(root)) for path in root.rglob("*.proto"))
    well_known = str(files("grpc_tools") / "_proto")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "descriptors")
        options = [f"-I{root}", f"-I{well_known}", "--include_source_info", f"--descriptor_set_out={output}"]
        if protoc.main(["protoc", *options, *sources]) != 0:
            raise ProtocError(f"protoc refuses {', '.join(sources)}")
        return FileDescriptorSet.FromString(output.read_bytes())


def contract_of(descriptors: FileDescriptorSet) -> Contract:
    """Everything that a message on the wire, or a program that uses the stubs, depends on."""
    contract: Contract = {}
    for file in descriptors.file:
        for message in file.message_type:
            contract.update(_message(f"{file.package}.{message.name}", message))
        for enum in file.enum_type:
            contract.update(_enum(f"{file.package}.{enum.name}", enum))
        for service in file.service:
            contract.update(_service(f"{file.package}.{service.name}", service))
    return contract


def breaking_changes(old: Contract, new: Contract) -> list[str]:
    """One sentence for each change that an existing peer would notice, in the order of elements.

    Additions break nothing. A field or enum value may go when its number is reserved from then on.
    """
    problems = []
    for element, meaning in sorted(old.items()):
        now = new.get(element)
        if now is None:
            problems.append(f"{element}: `{meaning}` is gone, and its number is not reserved")
        elif now not in (meaning, _RESERVED):
            problems.append(f"{element}: `{meaning}` has become `{now}`")
    return problems


_RESERVED = "reserved"

_TYPE_NAMES = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}


def _message(name: str, message: DescriptorProto) -> Iterator[tuple[str, str]]:
    yield name, "message"
    for field in message.field:
        yield f"{name}.{field.number}", _field(message, field)
    for reserved in message.reserved_range:
        # The end of a message's reserved range is exclusive, that of an enum's inclusive.
        yield from _reserved(name, range(reserved.start, reserved.end))
    for nested in message.nested_type:
        yield from _message(f"{name}.{nested.name}", nested)
    for enum in message.enum_type:
        yield from _enum(f"{name}.{enum.name}", enum)


def _field(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    kind = field.type_name.removeprefix(".") or _TYPE_NAMES[field.type]
    words = [kind, field.name]
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        words.insert(0, "repeated")
    elif field.proto3_optional:
        words.insert(0, "optional")
    elif field.HasField("oneof_index"):
        words.insert(0, f"oneof {message.oneof_decl[field.oneof_index].name}:")
    return " ".join(words)


def _enum(name: str, enum: EnumDescriptorProto) -> Iterator[tuple[str, str]]:
    yield name, "enum"
    for value in enum.value:
        yield f"{name}.{value.number}", value.name
    for reserved in enum.reserved_range:
        yield from _reserved(name, range(reserved.start, reserved.end + 1))


def _reserved(name: str, numbers: Iterable[int]) -> Iterator[tuple[str, str]]:
    for number in numbers:
        yield f"{name}.{number}", _RESERVED


def _service(name: str, service: ServiceDescriptorProto) -> Iterator[tuple[str, str]]:
    yield name, "service"
    for method in service.method:
        request = ("stream " if method.client_streaming else "") + method.input_type.removeprefix(".")
        response = ("stream " if method.server_streaming else "") + method.output_type.removeprefix(".")
        yield f"{name}.{method.name}", f"({request}) returns ({response})"


def published() -> Contract:
    """The contract as published."""
    contract: Contract = json.loads(PUBLISHED.read_text())
    return contract


def main() -> int:
    """Publish the contract as it is now, unless that breaks what was published."""
    now = contract_of(compile_contracts())
    problems = breaking_changes(published(), now) if PUBLISHED.exists() else []
    if problems:
        print("not published, for these changes break existing peers:", *problems, sep="\n  ", file=sys.stderr)
        return 1
    PUBLISHED.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
