"""Which parts of the contracts lack an explanation."""

from collections.abc import Iterator
from typing import NamedTuple

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)


def uncommented(descriptors: FileDescriptorSet) -> list[str]:
    """Names of the fields, enum values and methods that no comment explains.

    An alternative of a oneof may leave that to the comment on its message: `Opened opened = 1;` says nothing more.
    """
    explained_messages: set[str] = set()
    places: list[tuple[str, bool, str]] = []
    for file in descriptors.file:
        commented = {
            tuple(location.path)
            for location in file.source_code_info.location
            if location.leading_comments.strip() or location.trailing_comments.strip()
        }
        for place in _places(file):
            if place.path in commented and place.is_message:
                explained_messages.add(place.name)
            elif not place.is_message:
                places.append((place.name, place.path in commented, place.alternative))
    return [name for name, explained, alternative in places if not explained and alternative not in explained_messages]


class _Place(NamedTuple):
    """Something in a file that can have a comment."""

    name: str
    path: tuple[int, ...]
    """Field numbers of the descriptor messages and indexes, alternating, as `SourceCodeInfo.Location.path`."""
    is_message: bool = False
    alternative: str = ""
    """The message that a oneof's field is made of."""


def _places(file: FileDescriptorProto) -> Iterator[_Place]:
    for index, message in enumerate(file.message_type):
        path = (FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER, index)
        yield from _places_in_message(f"{file.package}.{message.name}", message, path)
    for index, enum in enumerate(file.enum_type):
        path = (FileDescriptorProto.ENUM_TYPE_FIELD_NUMBER, index)
        yield from _places_in_enum(f"{file.package}.{enum.name}", enum, path)
    for index, service in enumerate(file.service):
        path = (FileDescriptorProto.SERVICE_FIELD_NUMBER, index)
        for number, method in enumerate(service.method):
            name = f"{file.package}.{service.name}.{method.name}"
            yield _Place(name, (*path, ServiceDescriptorProto.METHOD_FIELD_NUMBER, number))


def _places_in_message(name: str, message: DescriptorProto, path: tuple[int, ...]) -> Iterator[_Place]:
    if message.options.map_entry:  # made by protoc
        return
    yield _Place(name, path, is_message=True)
    for index, field in enumerate(message.field):
        field_path = (*path, DescriptorProto.FIELD_FIELD_NUMBER, index)
        in_oneof = field.HasField("oneof_index") and not field.proto3_optional
        alternative = field.type_name.removeprefix(".") if in_oneof else ""
        yield _Place(f"{name}.{field.name}", field_path, alternative=alternative)
    for index, nested in enumerate(message.nested_type):
        nested_path = (*path, DescriptorProto.NESTED_TYPE_FIELD_NUMBER, index)
        yield from _places_in_message(f"{name}.{nested.name}", nested, nested_path)
    for index, enum in enumerate(message.enum_type):
        enum_path = (*path, DescriptorProto.ENUM_TYPE_FIELD_NUMBER, index)
        yield from _places_in_enum(f"{name}.{enum.name}", enum, enum_path)


def _places_in_enum(name: str, enum: EnumDescriptorProto, path: tuple[int, ...]) -> Iterator[_Place]:
    for index, value in enumerate(enum.value):
        yield _Place(f"{name}.{value.name}", (*path, EnumDescriptorProto.VALUE_FIELD_NUMBER, index))
