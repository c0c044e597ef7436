"""When only members of records are read, and when `parse` has to look at each."""

from __future__ import annotations

import pytest

from filter_service.documents import MOST_NAMES, DocumentReader, Documents, read_members

PLAIN = [b'{"a":1,"b":{"c":[2]}}', b'{"b":"\xc3\xa9"}']


def test_a_column_has_none_where_a_record_has_nothing() -> None:
    """Missing and null are the same to every condition."""
    documents = read_members([*PLAIN, b'{"a":null}'], ("a", "b"))
    assert documents is not None
    assert documents.column("a") == [1, None, None]
    assert documents.column("b") == [{"c": [2]}, "é", None]


def test_nobody_looks_at_anything() -> None:
    """Without conditions a record is only checked."""
    documents = read_members(PLAIN, ())
    assert documents is not None
    assert documents[0] == {"a": 1, "b": {"c": [2]}}


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(None, id="tombstone"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="empty object"),
        pytest.param(b'["a"]', id="array"),
        pytest.param(b'"a"', id="scalar"),
        pytest.param(b' {"a":1}', id="blanks first"),
        pytest.param(b'{"a":1}}', id="no JSON"),
        pytest.param(b'{"a":1} {"a":1}', id="two"),
        pytest.param(b'{"z":"\xff"}', id="no UTF-8"),
        pytest.param(b'{"z":"\xc3', id="cut off within a character"),
        pytest.param(b'{"z":' + b"[" * 5000 + b"]" * 5000 + b"}", id="too deep"),
    ],
)
def test_an_odd_record_is_left_to_parse(odd: bytes | None) -> None:
    """One is enough: the others are read as wholes with it."""
    assert read_members([*PLAIN, odd], ("a",)) is None
    assert read_members([odd, *PLAIN], ("a",)) is None


def test_names_are_few_and_plain() -> None:
    """What msgspec cannot look for, and what takes as long as the whole record, is not tried."""
    assert read_members(PLAIN, tuple(map(str, range(MOST_NAMES)))) is not None
    assert read_members(PLAIN, tuple(map(str, range(MOST_NAMES + 1)))) is None
    assert read_members(PLAIN, ('"',)) is None


def _read(reader: DocumentReader, *, needs_all: bool) -> bool:
    """Reads a slice, looks at one record or at all, and says whether only members were read."""
    documents = reader.read(PLAIN, ("a",))
    assert documents is not None
    for document in documents if needs_all else documents[:1]:
        assert document
    reader.learn(documents)
    return isinstance(documents, Documents)


def test_reading_members_rests_where_it_does_not_pay() -> None:
    """The more often most records were needed as wholes, the longer it is not tried."""
    reader = DocumentReader()
    tried = [_read(reader, needs_all=True) for _ in range(1 + 1 + 1 + 2 + 1 + 4 + 1)]
    assert [slice for slice, is_try in enumerate(tried) if is_try] == [0, 2, 5, 10]
    again = [_read(reader, needs_all=False) for _ in range(8 + 3)]
    assert again == [False] * 8 + [True] * 3
    assert [_read(reader, needs_all=True) for _ in range(3)] == [True, False, True]


def test_a_record_by_itself_is_parsed_as_a_whole() -> None:
    """Little is to be won."""
    assert DocumentReader().read(PLAIN[:1], ("a",)) == [{"a": 1, "b": {"c": [2]}}]
    assert DocumentReader().read([None], ("a",)) is None
