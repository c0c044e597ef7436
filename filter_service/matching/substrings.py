"""Which of many texts longer texts contain: one search for all of them, instead of one for each.

Used by `keys` for every path that `in` or `nin` looks at, on the reader's thread. A text is found by its *anchor*, a
piece of at most four letters that few other texts share: numpy hashes all pieces of what is searched, and only the
texts of an anchor that is there are compared. What the hash confuses is compared in vain, and not told.

An Aho-Corasick automaton would find them in two to four times the time, and cannot change: texts that come and go take
several, which are built again and again.

What this costs:

* some 10 ns per letter, and 0.2 µs for each anchor that is there: many texts are searched as one;
* one comparison per text whose anchor is there, however often, so never more than a search for each text by itself;
* a text that comes or goes 5 to 20 µs.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from filter_service.matching.sets import Numbers, grown

V = TypeVar("V")

_ANCHOR_LENGTH = 4
"""Long enough to be rare (there are half a million pieces of four letters a-z), and as many bytes as a word has."""
_NO_PIECE = -1
"""In place of an anchor: none, or several pieces with the same hash."""
_MOST_PIECES = 64
"""Pieces of a text that are considered as its anchor."""

_FIRST_BITS, _MORE_BITS, _MOST_BITS = 12, 2, 20
"""Of a hash: at first, how many more whenever the table grows, and at most (4 MB)."""
_SPARSE = 4
"""Places of the table for each text. The emptier it is, the less is compared in vain."""
_WORD_BITS = 32
_WORD = (1 << _WORD_BITS) - 1

_SHORT_TEXT = 512
"""Letters. In texts up to this length `in` is faster than a comparison at the places of the anchor."""
_FEW_LETTERS = 64
"""Up to which numpy takes longer than a loop."""
_TOGETHER, _STRETCH = 256, 16_384
"""Short texts, and letters of a long one, that are searched at once."""
_LETTERS_PER_PLACE = 512
"""In longer ones `in` is faster from one place in so many letters on."""


class SubstringSearch(Generic[V]):
    """Finds texts in longer texts. What it tells of a text is a value that was given for it."""

    def __init__(self) -> None:
        self._everywhere: list[V] = []  # the value of the empty text, if that is there
        self._anchors: dict[str, tuple[int, int]] = {}  # of a text: its anchor, and the letters before that
        self._lengths = Counter[int]()  # of these anchors
        # Nobody can know which pieces have the same hash.
        self._factor = secrets.randbits(_WORD_BITS) | 1
        self._bits = _FIRST_BITS
        self._table = np.zeros(1 << self._bits, np.int32)  # for each hash the number of the anchor; 0: there is none
        # By number:
        self._pieces = np.full(1, _NO_PIECE, np.int64)  # the anchor; _NO_PIECE for several that have the same hash
        self._texts: list[list[tuple[str, V]]] = [[]]  # the texts, each with its value
        # Text and value of an anchor with a single text, in turns, and twice None for others. Most have one, and are
        # looked at here instead of in objects that lie all over the memory.
        self._alone: list[Any] = [None, None]
        self._free: list[int] = []  # numbers without texts

    def add(self, text: str, value: V) -> None:
        """Finds a text, which is not there yet, from now on, and tells its value."""
        if not text:
            self._everywhere.append(value)
            return
        if len(self._anchors) * _SPARSE >= len(self._table) and self._bits < _MOST_BITS:
            self._grow()
        self._lengths[_anchor_length(text)] += 1
        self._place(text, value)

    def remove(self, text: str) -> None:
        """Undoes `add`."""
        if not text:
            self._everywhere.clear()
            return
        piece, _ = self._anchors.pop(text)
        hashed = self._hash(piece)
        number = self._table.item(hashed)
        self._texts[number] = [there for there in self._texts[number] if there[0] != text]
        self._note(number)
        if not self._texts[number]:
            self._table[hashed] = 0
        self._lengths -= Counter((_anchor_length(text),))

    def find_all(self, haystacks: Sequence[str]) -> dict[int, list[V]]:
        """What some texts contain.

        Returns:
            Index of each that contains anything -> the values of what it contains, in any order.
        """
        found: defaultdict[int, list[V]] = defaultdict(list)
        if self._everywhere:
            found.update({index: [*self._everywhere] for index in range(len(haystacks))})
        for begin in range(0, len(haystacks), _TOGETHER):
            some = haystacks[begin : begin + _TOGETHER]
            if max(map(len, some)) > _SHORT_TEXT:
                for index, haystack in enumerate(some, begin):
                    if len(haystack) > _SHORT_TEXT:
                        self._find_in_long(haystack, index, found)
                some = [haystack if len(haystack) <= _SHORT_TEXT else "" for haystack in some]
            self._find_in_short(some, begin, found)
        return found

    def _find_in_short(self, haystacks: Sequence[str], begin: int, found: dict[int, list[V]]) -> None:
        """Searches several texts as one.

        Args:
            haystacks: the texts.
            begin: index of the first.
            found: as `find_all` returns it; is filled.
        """
        texts, alone = self._texts, self._alone
        seen: dict[int, int] = {}  # of an anchor: the last text it was in
        for row, number in self._anchors_in(haystacks):
            if seen.get(number) == row:
                continue
            seen[number] = row
            haystack = haystacks[row]
            single = alone[2 * number]
            if single is not None:
                if single in haystack:
                    found[begin + row].append(alone[2 * number + 1])
                continue
            for text, value in texts[number]:
                if text in haystack:
                    found[begin + row].append(value)

    def _anchors_in(self, haystacks: Sequence[str]) -> Iterable[tuple[int, int]]:
        """Index of a text with the number of an anchor that may be there; ordered by the index, some more than once."""
        # What is found across a join is not contained in the text, as it turns out.
        folded = _folded("".join(haystacks))
        if len(haystacks) == 1 and len(folded) <= _FEW_LETTERS:
            return [(0, number) for number in self._find_few(folded)]
        places, numbers = self._find(folded)
        lengths = np.fromiter(map(len, haystacks), np.intp, len(haystacks))
        rows = np.arange(len(haystacks)).repeat(lengths).take(places)
        return zip(rows.tolist(), numbers.tolist(), strict=True)

    def _find_few(self, folded: bytes) -> Iterator[int]:
        """Numbers of the anchors that may be in a text."""
        table = self._table
        for length in self._lengths:
            for begin in range(len(folded) - length + 1):
                number = table.item(self._hash(int.from_bytes(folded[begin : begin + length], "little")))
                if number:
                    yield number

    def _find_in_long(self, haystack: str, index: int, found: dict[int, list[V]]) -> None:
        """Searches a single text.

        Args:
            haystack: the text.
            index: its index.
            found: as `find_all` returns it; is filled.
        """
        many = len(haystack) // _LETTERS_PER_PLACE
        folded = _folded(haystack)
        begins: dict[int, list[int]] = {}  # of an anchor: where it is, while these are not many
        for begin in range(0, len(folded), _STRETCH):
            places, numbers = self._find(folded[begin : begin + _STRETCH + _ANCHOR_LENGTH - 1])
            order = numbers.argsort(kind="stable")
            numbers, places = numbers.take(order), places.take(order) + begin
            bounds = [0, *((numbers[1:] != numbers[:-1]).nonzero()[0] + 1).tolist(), len(numbers)]
            for first, beyond in pairwise(bounds if len(numbers) else ()):
                some = begins.setdefault(numbers.item(first), [])
                some += places[first : min(beyond, first + many - len(some))].tolist()
        for number, some in begins.items():
            for text, value in self._texts[number]:
                offset = self._anchors[text][1]
                # A negative start counts from the end: what matches there is contained as well.
                if (
                    any(haystack.startswith(text, begin - offset) for begin in some)
                    if len(some) < many
                    else text in haystack
                ):
                    found[index].append(value)

    def _find(self, folded: bytes) -> tuple[Numbers, Numbers]:
        """Where there may be anchors.

        Returns:
            Indexes of their first letters, increasing, and with each the number of the anchor.
        """
        if not self._lengths:
            return np.empty(0, np.intp), np.empty(0, np.intp)
        # At the very end pieces are filled up with zeros.
        words = np.ndarray(len(folded), "<u4", folded + bytes(_ANCHOR_LENGTH - 1), strides=(1,))
        found = [self._find_pieces(words & np.uint32((1 << 8 * length) - 1)) for length in self._lengths]
        if len(found) == 1:
            return found[0]
        places = np.concatenate([places for places, _ in found])
        order = places.argsort(kind="stable")
        return places.take(order), np.concatenate([numbers for _, numbers in found]).take(order)

    def _find_pieces(self, pieces: NDArray[np.uint32]) -> tuple[Numbers, Numbers]:
        """Which pieces are anchors: their indexes, increasing, and their numbers."""
        numbers = self._table.take(self._hashes(pieces))
        places = (numbers != 0).nonzero()[0]
        numbers = numbers.take(places)
        known = self._pieces.take(numbers)
        real = ((known == pieces.take(places)) | (known == _NO_PIECE)).nonzero()[0]
        return places.take(real), numbers.take(real)

    # ---- anchors

    def _place(self, text: str, value: V) -> None:
        piece, offset = self._anchor_of(_folded(text))
        hashed = self._hash(piece)
        number = self._table.item(hashed)
        if not number:
            number = self._table[hashed] = self._new_number()
            self._pieces[number] = piece
        elif self._pieces[number] != piece:
            self._pieces[number] = _NO_PIECE
        self._texts[number].append((text, value))
        self._note(number)
        self._anchors[text] = (piece, offset)

    def _anchor_of(self, folded: bytes) -> tuple[int, int]:
        """The anchor for a new text, and the letters before it in the text.

        The last piece that no other text has, or else the one that the fewest have. From the end, since the texts of a
        topic are more alike in their beginnings (`sensor-0815`).
        """
        best = (0, 0)
        fewest = -1
        step = max(1, len(folded) // _MOST_PIECES)
        for begin in range(max(0, len(folded) - _ANCHOR_LENGTH), -1, -step):
            piece = int.from_bytes(folded[begin : begin + _ANCHOR_LENGTH], "little")
            texts = len(self._texts[self._table.item(self._hash(piece))])
            if not texts:
                return piece, begin
            if not 0 <= fewest <= texts:
                best, fewest = (piece, begin), texts
        return best

    def _hash(self, piece: int) -> int:
        # The upper bits: all those of the piece count there.
        return (piece * self._factor & _WORD) >> _WORD_BITS - self._bits

    def _hashes(self, pieces: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """What `_hash` says of each."""
        return pieces * np.uint32(self._factor) >> np.uint32(_WORD_BITS - self._bits)

    def _new_number(self) -> int:
        if self._free:
            return self._free.pop()
        number = len(self._texts)
        self._texts.append([])
        self._alone += (None, None)
        if number == len(self._pieces):
            self._pieces = grown(self._pieces, 2 * number, _NO_PIECE)
        return number

    def _note(self, number: int) -> None:
        """The texts of an anchor have changed."""
        texts = self._texts[number]
        self._alone[2 * number : 2 * number + 2] = texts[0] if len(texts) == 1 else (None, None)
        if not texts:
            self._pieces[number] = _NO_PIECE
            self._free.append(number)

    def _grow(self) -> None:
        """Makes hashes longer: pieces that had different ones still have, and others get another chance."""
        self._bits += _MORE_BITS
        self._table = np.zeros(1 << self._bits, np.int32)
        known = (self._pieces != _NO_PIECE).nonzero()[0]
        self._table[self._hashes(self._pieces.take(known).astype(np.uint32))] = known
        confused = [number for number, texts in enumerate(self._texts) if texts and self._pieces[number] == _NO_PIECE]
        for number in confused:
            texts, self._texts[number] = self._texts[number], []
            self._note(number)
            for text, value in texts:
                self._place(text, value)


def _anchor_length(text: str) -> int:
    return min(len(text), _ANCHOR_LENGTH)


def _folded(text: str) -> bytes:
    """The text with letters that fit into a byte each, which lone surrogates have as well.

    What a text contains, its folded form contains folded, at the same places (and sometimes more).
    """
    return text.encode() if text.isascii() else text.encode("utf-32-le", "surrogatepass")[::4]
