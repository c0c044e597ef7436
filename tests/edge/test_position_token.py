"""Position tokens: what they say is read back exactly, and nothing else is taken for one."""

import binascii
import re
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.position_token import PositionTokenError, TokenPosition, TokenWriter, decode, encode

LETTERS = string.ascii_letters + string.digits + "-_"

partitions = st.integers(0, 2**31 - 1)
offsets = st.integers(0, 2**63 - 1)
topics = st.text(min_size=1)
positions = st.builds(
    TokenPosition,
    st.dictionaries(partitions, offsets, max_size=20),
    st.just(b"") | st.binary(min_size=16, max_size=16),
)


def resealed(body: bytes) -> str:
    """A text whose check is right, whatever it holds."""
    check = binascii.crc32(body).to_bytes(4, "big")
    return urlsafe_b64encode(body + check).rstrip(b"=").decode()


def body_of(token: str) -> bytes:
    """What a token's check is computed over."""
    return urlsafe_b64decode(token + "=" * (-len(token) % 4))[:-4]


@given(topics, positions)
def test_every_position_comes_back(topic: str, position: TokenPosition) -> None:
    """Offsets of all partitions and the topic's id are read as they were written."""
    assert decode(topic, encode(topic, position)) == position


@given(topics, positions, partitions, st.lists(offsets, min_size=1, max_size=5))
def test_a_batch_has_the_tokens_of_its_positions(
    topic: str, position: TokenPosition, moving: int, next_offsets: list[int]
) -> None:
    """Tokens that share a prefix say the moving partition's own offset, and the others' as they stand."""
    prefix = TokenWriter(topic).prefix(position, moving)
    for next_offset in next_offsets:
        expected = TokenPosition({**position.next_offsets, moving: next_offset}, position.topic_id)
        assert decode(topic, prefix.token(next_offset).decode()) == expected


@given(topics, positions)
def test_tokens_are_words_for_urls(topic: str, position: TokenPosition) -> None:
    """Only letters, digits, `-` and `_`: nothing to escape, no dot, and nothing that a time begins with."""
    token = encode(topic, position)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert token[0] == "A"


@given(topics, positions, st.data())
def test_a_changed_character_is_noticed(topic: str, position: TokenPosition, data: st.DataObject) -> None:
    """A token with any one character replaced, left out or put in is refused."""
    token = encode(topic, position)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(LETTERS + "=.+/ \n\N{LATIN SMALL LETTER E WITH ACUTE}"))
    for mangled in (
        token[:at] + other + token[at + 1 :],
        token[:at] + token[at + 1 :],
        token[:at] + other + token[at:],
    ):
        if mangled != token:
            with pytest.raises(PositionTokenError):
                decode(topic, mangled)


@given(topics, positions, st.data())
def test_a_cut_or_doubled_token_is_noticed(topic: str, position: TokenPosition, data: st.DataObject) -> None:
    """Half of a token, twice a token, and a token with its halves swapped are refused."""
    token = encode(topic, position)
    at = data.draw(st.integers(1, len(token) - 1))
    for mangled in (token[:at], token[at:], token + token, token[at:] + token[:at], token.swapcase()):
        assume(mangled != token)
        with pytest.raises(PositionTokenError):
            decode(topic, mangled)


@given(st.text())
def test_other_texts_are_no_tokens(text: str) -> None:
    """Whatever a client sends is refused, never a crash."""
    with pytest.raises(PositionTokenError):
        decode("admin.t", text)


@given(st.binary(max_size=60))
def test_what_is_sealed_but_no_position_is_refused_or_read(body: bytes) -> None:
    """Bytes with a good check, which anybody can make, are a position that is written the same way, or are refused."""
    head = body_of(encode("admin.t", TokenPosition({})))
    for text in (resealed(body), resealed(head + body)):
        try:
            position = decode("admin.t", text)
        except PositionTokenError:
            continue
        assert decode("admin.t", encode("admin.t", position)) == position
        assert all(0 <= each < 2**31 for each in position.next_offsets)
        assert all(0 <= each < 2**63 for each in position.next_offsets.values())


@given(topics, topics, positions)
def test_another_topics_token_is_refused(topic: str, other: str, position: TokenPosition) -> None:
    """A token is good for the topic that it was made for, and says so."""
    assume(topic != other)
    with pytest.raises(PositionTokenError, match="another topic"):
        decode(other, encode(topic, position))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "version"),
        (b"\x02", "version"),
        (b"\x01", "another topic"),
        (body_of(encode("t", TokenPosition({})))[:-1], "damaged"),
        (body_of(encode("t", TokenPosition({})))[:-1] + b"\x05abcde", "damaged"),
        (body_of(encode("t", TokenPosition({}, b"x" * 16)))[:-1], "damaged"),
        (body_of(encode("t", TokenPosition({}))) + b"\x01", "damaged"),
        (body_of(encode("t", TokenPosition({}))) + b"\x01\x80", "damaged"),
        (body_of(encode("t", TokenPosition({}))) + b"\x01\x05\x01\x06", "damaged"),
        (body_of(encode("t", TokenPosition({}))) + b"\x01" + b"\xff" * 9 + b"\x01", "damaged"),
        (body_of(encode("t", TokenPosition({}))) + b"\x80\x80\x80\x80\x08\x01", "damaged"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, problem: str) -> None:
    """An unknown version, another topic and damage are told apart, also where the check is right."""
    with pytest.raises(PositionTokenError, match=problem):
        decode("t", resealed(body))


@pytest.mark.parametrize("length", [0, 64 * 1024 + 1])
def test_length_is_looked_at_first(length: int) -> None:
    """An empty text and one of absurd length are refused without being read."""
    with pytest.raises(PositionTokenError, match="length"):
        decode("t", "A" * length)


def test_tokens_are_short() -> None:
    """A billion records in each of six partitions are a word of 83 characters; nine thousand partitions still fit."""
    billions = TokenPosition({partition: 10**9 + partition for partition in range(6)}, b"x" * 16)
    assert len(encode("admin.t", billions)) == 83
    many = TokenPosition(dict.fromkeys(range(9_000), 10**5), b"x" * 16)
    assert decode("admin.t", encode("admin.t", many)) == many
