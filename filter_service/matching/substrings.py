"""Which of many texts longer texts contain: one search for all of them, instead of one for each.

Used by `keys` for every path that `in` or `nin` looks at, on the reader's thread. A text is found by its *anchor*, a
piece of at most four letters that few other texts share: an Aho-Corasick automaton finds the anchors, and only the
texts of an anchor that is there are compared. An automaton of whole texts would be rebuilt for every new text, and
take for each letter as many steps as texts end there inside each other (`a`, `aa`, `aaa` ... of as many clients).
Anchors nest four deep at most, and a new text often finds one that is there already.

What this costs:

* the automaton some 20 ns per letter, and 0.3 µs for each anchor that is there: many texts are searched as one;
* one comparison per text whose anchor is there, however often, so never more than a search for each text by itself;
* an automaton cannot change. New anchors get one of their own, which is merged with others when the searches have paid
  for it, up to a size that is built in some 20 ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from ahocorasick_rs import AhoCorasick, Implementation

V = TypeVar("V")

_ANCHOR_LENGTH = 4
"""Long enough to be rare (there are half a million pieces of four letters a-z), short enough for small automata."""
_FEW_TEXTS = 4
"""A new text joins an anchor with fewer texts than that before it brings a new one."""
_MOST_PIECES = 64
"""Pieces of a text that are considered as its anchor."""

_MOST_RECENT = 32
"""New anchors that share an automaton which is built anew for each of them, in 5 to 50 µs."""
_FAN_IN = 4
"""So many automata of about the same size are merged at once, whether or not searches have paid for it: a search in one
more automaton costs about as much as building one with one anchor more."""

_STRETCH = 8192
"""Letters that are searched at once: what is found in them is kept until it has been looked at."""
_SHORT_TEXT = 512
"""Letters. In texts up to this length `in` is faster than a comparison at the places of the anchor."""
_LETTERS_PER_PLACE = 512
"""In longer ones `in` is faster from one place in so many letters on."""


class _Anchor(Generic[V]):
    """A piece that is looked for, and the texts to compare where it is, each with its value."""

    __slots__ = ("automaton", "number", "piece", "texts")

    def __init__(self, piece: str) -> None:
        self.piece = piece
        self.texts: list[tuple[str, V]] = []
        self.automaton: _Automaton[V] | None = None
        self.number = 0  # in the automaton


class _Automaton(Generic[V]):
    """Finds the anchors it was made of. Some of them may be without texts by now.

    Attributes:
        anchors: by number.
        alone, values: of each anchor with a single text, that text and its value; None for others. Most are such, and
            are looked at here, without going through objects that lie all over the memory.
        idle: how many anchors are without texts.
        tier: its size, as a power of `_FAN_IN`.
    """

    __slots__ = ("_automaton", "alone", "anchors", "idle", "tier", "values")

    def __init__(self, anchors: list[_Anchor[V]]) -> None:
        pieces = [anchor.piece for anchor in anchors]
        self._automaton = AhoCorasick(pieces, implementation=Implementation.ContiguousNFA, store_patterns=False)
        self.anchors = anchors
        self.alone: list[str | None] = [None] * len(anchors)
        self.values: list[Any] = [None] * len(anchors)
        self.idle = 0
        self.tier = len(anchors).bit_length() // 2
        for number, anchor in enumerate(anchors):
            anchor.number = number
            self.note(anchor)

    def note(self, anchor: _Anchor[V]) -> None:
        """To be told when the texts of an anchor have changed."""
        text, value = anchor.texts[0] if len(anchor.texts) == 1 else (None, None)
        self.alone[anchor.number] = text
        self.values[anchor.number] = value

    def find(self, stretch: str) -> list[tuple[int, int, int]]:
        """All occurrences: (number of the anchor, index of its first letter, index after its last), by the last."""
        return self._automaton.find_matches_as_indexes(stretch, overlapping=True)

    def search(self, folded: str) -> Iterator[tuple[_Anchor[V], int]]:
        """Yields all occurrences in a text of any length, some of them twice: (anchor, index of its first letter)."""
        for begin in range(0, len(folded), _STRETCH):
            for number, first, _ in self.find(folded[begin : begin + _STRETCH + _ANCHOR_LENGTH - 1]):
                yield self.anchors[number], begin + first


class SubstringSearch(Generic[V]):
    """Finds texts in longer texts. What it tells of a text is a value that was given for it."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[_Anchor[V], int]] = {}  # of a text: its anchor, and letters before that
        self._anchors: dict[str, _Anchor[V]] = {}
        self._recent: list[_Anchor[V]] = []
        self._recent_automaton: _Automaton[V] | None = None  # made when it is needed
        self._automata: list[_Automaton[V]] = []
        self._debt = 0  # searches since the last change
        self._price = 0
        self._everywhere: list[V] = []  # the value of the empty text, if that is there

    def add(self, text: str, value: V) -> None:
        """Finds a text, which is not there yet, from now on, and tells its value."""
        if not text:
            self._everywhere.append(value)
            return
        anchor, offset = self._anchor_of(_folded(text))
        if anchor.automaton is not None and not anchor.texts:
            anchor.automaton.idle -= 1
        anchor.texts.append((text, value))
        self._note(anchor)
        self._places[text] = (anchor, offset)
        if len(self._recent) > _MOST_RECENT:
            self._build_recent()
        self._set_price()

    def remove(self, text: str) -> None:
        """Undoes `add`."""
        if not text:
            self._everywhere.clear()
            return
        anchor, _ = self._places.pop(text)
        anchor.texts = [there for there in anchor.texts if there[0] != text]
        self._note(anchor)
        if anchor.texts:
            return
        automaton = anchor.automaton
        if automaton is None:
            self._recent.remove(anchor)
            del self._anchors[anchor.piece]
            self._set_price()
            return
        automaton.idle += 1
        if automaton.idle * 2 > len(automaton.anchors):
            self._rebuild([automaton])

    def find_all(self, haystacks: Sequence[str]) -> list[list[V]]:
        """For each of some texts, the values of those that it contains, in any order."""
        found = [self._everywhere.copy() for _ in haystacks]
        short: list[int] = []
        letters = 0
        for number, haystack in enumerate(haystacks):
            if len(haystack) > _SHORT_TEXT:
                found[number] += self._find_in_long(haystack)
                continue
            short.append(number)
            letters += len(haystack)
            if letters > _STRETCH // 2:
                self._find_in_short(haystacks, short, found)
                short, letters = [], 0
        self._find_in_short(haystacks, short, found)
        if self._price:
            self._debt += len(haystacks)
            if self._debt > self._price:
                self._rebuild(self._automata[-1:] if self._recent else self._automata[-2:])
        return found

    def _searches(self) -> list[_Automaton[V]]:
        """All automata."""
        if not self._recent:
            return self._automata
        if self._recent_automaton is None:
            self._recent_automaton = _Automaton(self._recent)
        return [*self._automata, self._recent_automaton]

    def _find_in_short(self, haystacks: Sequence[str], numbers: Sequence[int], found: list[list[V]]) -> None:
        """Searches several texts as one.

        Args:
            haystacks: with the texts.
            numbers: of the texts.
            found: for each of the haystacks what it contains; is filled.
        """
        # What is found across a join is not contained in the text, as it turns out.
        folded = _folded("".join([haystacks[number] for number in numbers]))
        for automaton in self._searches():
            anchors, alone, values = automaton.anchors, automaton.alone, automaton.values
            seen: dict[int, int] = {}  # of an anchor: the last text it was in
            at, end, haystack = -1, 0, ""
            for number, first, _ in automaton.find(folded):
                while first >= end:
                    at += 1
                    haystack = haystacks[numbers[at]]
                    end += len(haystack)
                if seen.get(number) != at:
                    seen[number] = at
                    if (single := alone[number]) is not None:
                        if single in haystack:
                            found[numbers[at]].append(values[number])
                        continue
                    for text, value in anchors[number].texts:
                        if text in haystack:
                            found[numbers[at]].append(value)

    def _find_in_long(self, haystack: str) -> list[V]:
        many = len(haystack) // _LETTERS_PER_PLACE
        folded = _folded(haystack)
        found: list[V] = []
        for automaton in self._searches():
            places: dict[_Anchor[V], list[int]] = {}
            for anchor, first in automaton.search(folded):
                begins = places.get(anchor)
                if begins is None:
                    places[anchor] = [first]
                elif len(begins) < many:
                    begins.append(first)
            for anchor, begins in places.items():
                for text, value in anchor.texts:
                    offset = self._places[text][1]
                    # A negative start counts from the end: what matches there is contained as well.
                    if (
                        any(haystack.startswith(text, begin - offset) for begin in begins)
                        if len(begins) < many
                        else text in haystack
                    ):
                        found.append(value)
        return found

    def _anchor_of(self, folded: str) -> tuple[_Anchor[V], int]:
        """The anchor for a new text, and the letters before the anchor in it.

        Looks from the end: the texts of a topic are more alike in their beginnings (`sensor-0815`).
        """
        anchors = self._anchors
        length = len(folded)
        if length <= _ANCHOR_LENGTH:
            return anchors.get(folded) or self._new_anchor(folded), 0
        new = least = None
        least_texts = 0
        for begin in range(length - _ANCHOR_LENGTH, -1, -max(1, length // _MOST_PIECES)):
            anchor = anchors.get(folded[begin : begin + _ANCHOR_LENGTH])
            if anchor is None:
                new = begin if new is None else new
            elif (texts := len(anchor.texts)) < _FEW_TEXTS:
                return anchor, begin
            elif least is None or texts < least_texts:
                least, least_texts = (anchor, begin), texts
        if new is not None:
            return self._new_anchor(folded[new : new + _ANCHOR_LENGTH]), new
        assert least is not None  # noqa: S101 - there is at least one piece
        return least

    def _note(self, anchor: _Anchor[V]) -> None:
        """The texts of an anchor have changed."""
        if anchor.automaton is None:
            self._recent_automaton = None
        else:
            anchor.automaton.note(anchor)

    def _new_anchor(self, piece: str) -> _Anchor[V]:
        anchor = self._anchors[piece] = _Anchor(piece)
        self._recent.append(anchor)
        return anchor

    # ---- automata

    def _build_recent(self) -> None:
        """Gives the recent anchors an automaton, and merges those of about the same size, so that there are few."""
        self._add_automaton(self._recent)
        last = self._automata[-_FAN_IN:]
        while len(last) == _FAN_IN and last[0].tier <= last[-1].tier:
            self._rebuild(last)
            last = self._automata[-_FAN_IN:]

    def _rebuild(self, automata: list[_Automaton[V]]) -> None:
        """Makes one automaton of some and of the recent anchors. Drops anchors without texts."""
        anchors = [anchor for automaton in automata for anchor in automaton.anchors] + self._recent
        self._automata = [automaton for automaton in self._automata if automaton not in automata]
        for anchor in anchors:
            if not anchor.texts:
                del self._anchors[anchor.piece]
        needed = [anchor for anchor in anchors if anchor.texts]
        self._add_automaton(needed)
        self._automata.sort(key=lambda automaton: -len(automaton.anchors))
        self._set_price()

    def _add_automaton(self, anchors: list[_Anchor[V]]) -> None:
        """Takes anchors up that have none; there is nothing recent then."""
        self._recent, self._recent_automaton = [], None
        if anchors:
            automaton = _Automaton(anchors)
            self._automata.append(automaton)
            for anchor in anchors:
                anchor.automaton = automaton

    def _set_price(self) -> None:
        """After so many searches, what is searched beside the first automaton is merged; 0 when there is nothing."""
        self._debt = 0
        self._price = len(self._recent) + sum(len(automaton.anchors) for automaton in self._automata[-2:])
        if len(self._automata) + bool(self._recent) < 2:
            self._price = 0


def _folded(text: str) -> str:
    """The text with letters that fit into a byte, which UTF-8 has code for: lone surrogates have none.

    What a text contains, its folded form contains folded, at the same places (and sometimes more).
    """
    return text if text.isascii() else text.encode("utf-32-le", "surrogatepass")[::4].decode("latin-1")
