"""Query strings, as behaviour section 4 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.query import Parameter, decode_segment, decode_value, select
from tests.cases.cases import Case, load

AMBIGUOUS = Parameter(ambiguous=True)


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("", Parameter()),
        ("fields=a", Parameter()),
        ("where", Parameter("")),
        ("where=", Parameter("")),
        ("where=a+b%20c", Parameter("a b c")),
        ("where=a%2Bb", Parameter("a+b")),
        ('where=;:,/()*"', Parameter(';:,/()*"')),
        ("where=a=gte:5;", Parameter("a=gte:5;")),
        ("where=a&b=c", Parameter("a")),
        ("where=a%26b", Parameter("a&b")),
        ("where=100%2525", Parameter("100%25")),
        ("where=%zz+%20", Parameter("%zz %20")),
        ("where=50%", Parameter("50%")),
        ("where=%E9+x", Parameter("%E9 x")),
        ("where=%C3%A9", Parameter("é")),
        ("where=caf\xc3\xa9", Parameter("café")),
        ("where=%C3%A9%zz", Parameter("%C3%A9%zz")),
        ("where=a[0]=1;", Parameter("a[0]=1;")),
        ("where=a?b", Parameter("a?b")),
        ("Where=x", Parameter()),
        ("wher%65=x", Parameter("x")),
        ("&&where=x&", Parameter("x")),
        ("where=x&where=x", AMBIGUOUS),
        ("where=x&where=", AMBIGUOUS),
        ("where=&where=&where=", AMBIGUOUS),
        ("where[]=x", AMBIGUOUS),
        ("where[a]=x", AMBIGUOUS),
        ("where%5B%5D=x", AMBIGUOUS),
        ("where[=x", AMBIGUOUS),
        ("where=x&where[]=x", AMBIGUOUS),
        ("where[]=x&where=x", AMBIGUOUS),
        ("&".join(f"p{number}=" for number in range(2000)) + "&where=x", Parameter("x")),
    ],
)
def test_decoding(query: str, where: Parameter) -> None:
    """Each row of the table in section 4, and what lies between them."""
    assert select(query, "where", "fields")["where"] == where


@pytest.mark.parametrize("case", [case for case in load() if case.query is not None], ids=lambda case: case.id)
def test_query_of_a_case_is_decoded(case: Case) -> None:
    """The raw query of a case gives the parameters that the case says."""
    assert case.query is not None
    received = case.query.encode().decode("latin-1")  # as Tornado hands on the bytes of a request line
    found = select(received, "where", "fields")
    assert found == {"where": Parameter(case.where), "fields": Parameter(case.fields)}


@given(st.text())
def test_encoded_text_comes_back(text: str) -> None:
    """Whatever a client percent-encodes is what the filter gets."""
    encoded = "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "replace"))
    assert decode_value(encoded) == text.encode("utf-8", "replace").decode()


@given(st.binary())
def test_any_bytes_decode_to_text(raw: bytes) -> None:
    """No bytes in a query raise, and the result can be sent on as UTF-8."""
    for parameter in select(raw.decode("latin-1"), "where").values():
        (parameter.value or "").encode("utf-8")
    decode_value(raw.decode("latin-1")).encode("utf-8")


@pytest.mark.parametrize(
    ("segment", "topic"),
    [("admin.t", "admin.t"), ("a%2Fb", "a/b"), ("a+b", "a+b"), ("%C3%A9", "é"), ("\xc3\xa9", "é"), ("a%2525", "a%25")],
)
def test_segments(segment: str, topic: str) -> None:
    """A path segment is percent-decoded once, and its plus is a plus."""
    assert decode_segment(segment) == topic


@pytest.mark.parametrize("segment", ["%zz", "a%", "%4", "%E9", "\xe9", "%C3%28"])
def test_malformed_segments(segment: str) -> None:
    """Malformed percent-encoding and bytes that are not UTF-8 are refused."""
    with pytest.raises(ValueError, match=r"percent-encoding|decode"):
        decode_segment(segment)
