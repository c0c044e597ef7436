"""Records of which only the looked-at members are read.

Most members of a record concern no rule. msgspec checks their syntax and makes nothing of them, which takes a third of
the time of parsing the record; whoever needs all of it, to cut it or to compare what no column holds, gets it parsed
then. Used by `topic_rules` for each slice of a batch, on the reader's thread; the rule index takes what comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, overload

import msgspec
import orjson

from filter_service.record import Document, parse

MOST_NAMES = 16
"""Members that are read this way; each takes longer the more there are, and soon as long as the whole record."""

_MOST_RESTS = 64
"""Slices that are parsed as wholes before it is tried again whether members will do."""

_CONTAINERS = {dict, list}
_beginning = itemgetter(slice(0, 2))
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)  # the last is for a tombstone


class Documents(Sequence[Document]):
    """Records that are JSON objects.

    Args:
        texts: the payloads, each of which `parse` accepts as it is.
        columns: name -> what each record has there, parsed; None where it has nothing.

    Attributes:
        whole: how many records had to be parsed as a whole.
    """

    __slots__ = ("_columns", "_parsed", "_texts")

    def __init__(self, texts: Sequence[bytes], columns: dict[str, list[Any]]) -> None:
        """Holds what `read_members` found."""
        self._texts = texts
        self._columns = columns
        self._parsed: dict[int, Document] = {}

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, row: int) -> Document: ...
    @overload
    def __getitem__(self, row: slice) -> list[Document]: ...
    def __getitem__(self, row: int | slice) -> Document | list[Document]:
        """The whole of a record, parsed once."""
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        document = self._parsed.get(row)
        if document is None:
            record = parse(self._texts[row])
            if record is None:
                raise ValueError("msgspec has accepted a record that is not JSON, or empty")
            document = self._parsed[row] = record.document
        return document

    def column(self, name: str) -> list[Any]:
        """What each record has under a name that was asked for; None where it has nothing."""
        return self._columns[name]

    @property
    def whole(self) -> int:
        """How many records had to be parsed as a whole."""
        return len(self._parsed)


class DocumentReader:
    """Parses the records of one topic, a slice at a time: as wholes where that has turned out to be needed."""

    def __init__(self) -> None:
        self._rest = 0  # slices until the next attempt to do with members
        self._rests = 1  # how many there are the next time that it does not pay

    def read(self, texts: Sequence[bytes | None], names: tuple[str, ...]) -> Sequence[Document] | None:
        """Parses records.

        Args:
            texts: payloads; None for a tombstone.
            names: of the members that are looked at; more than `MOST_NAMES`: of some.

        Returns:
            Documents; None when `record.parse` must look at each payload.
        """
        if self._rest:
            self._rest -= 1
        elif len(texts) > 1:
            documents = read_members(texts, names)
            if documents is not None:
                return documents
            self._put_off()
        return _parse_all(texts)

    def learn(self, documents: Sequence[Document]) -> None:
        """To be told when all has been done with what `read` returned."""
        if isinstance(documents, Documents):
            if documents.whole > len(documents) // 2:
                self._put_off()
            else:
                self._rests = 1

    def _put_off(self) -> None:
        self._rest = self._rests
        self._rests = min(2 * self._rests, _MOST_RESTS)


def _parse_all(texts: Sequence[bytes | None]) -> list[Document] | None:
    """Parses payloads that all could be sent as they are; None when some cannot, or not without a closer look."""
    try:
        documents = list(map(orjson.loads, texts))  # type: ignore[arg-type]
    except orjson.JSONDecodeError:  # a tombstone's None is refused like bad JSON
        return None
    return documents if all(documents) and _CONTAINERS.issuperset(map(type, documents)) else None


def read_members(texts: Sequence[bytes | None], names: tuple[str, ...]) -> Documents | None:
    """Reads some members of records.

    Values are those that `parse` finds, but integers of more than 64 bits stay integers.

    Args:
        texts: payloads; None for a tombstone.
        names: of members of the records themselves.

    Returns:
        None when some payload is anything but a JSON object that holds something and begins at once, in UTF-8 without
        extravagances, or when the names are too many or too odd: `parse` must look at each.
    """
    decoder = _decoder(names)
    if decoder is None:
        return None
    try:
        if set(map(_beginning, texts)) != {b'{"'}:  # type: ignore[arg-type]
            return None
        # msgspec does not decode what nobody looks at. No character can end in the next text: that begins with a brace.
        b"".join(texts).decode()  # type: ignore[arg-type]
        objects = list(map(decoder.decode, texts))  # type: ignore[arg-type]
    except _UNREADABLE:
        return None
    columns = {name: list(map(attrgetter(f"m{number}"), objects)) for number, name in enumerate(names)}
    return Documents(texts, columns)  # type: ignore[arg-type]


@lru_cache(maxsize=256)
def _decoder(names: tuple[str, ...]) -> msgspec.json.Decoder[Any] | None:
    """What reads some members and skips all others; None when they are too many, or msgspec cannot name them."""
    if len(names) > MOST_NAMES:
        return None
    fields = {f"m{number}": name for number, name in enumerate(names)}
    try:
        kind = msgspec.defstruct("Members", [(field, Any, None) for field in fields], rename=fields, gc=False)
    except ValueError:
        return None
    return msgspec.json.Decoder(kind)
