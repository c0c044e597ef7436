"""Which of many texts a longer text contains: one search for all of them, instead of one for each.

Used by `keys` for every path that `in` or `nin` looks at, on the reader's thread. A text is found by its *anchor*, a
piece of at most four letters that few other texts share: an Aho-Corasick automaton finds the anchors, and only the
texts of an anchor that is there are compared. An automaton of whole texts would be rebuilt for every new text, and
take for each letter as many steps as texts end there inside each other (`a`, `aa`, `aaa` ... of as many clients).
Anchors nest four deep at most, and a new text often finds one that is there already.

What this costs:

* the automaton 10 to 50 ns per letter; where every piece of a text is an anchor, up to 0.6 µs;
* one comparison per text whose anchor is there, however often, so never more than a search for each text by itself;
* an automaton cannot change. New anchors wait in a short list, then in automata of their own, which are merged when the
  searches have paid for it, up to a size that is built in some 20 ms.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from ahocorasick import STORE_ANY, Automaton

_ANCHOR_LENGTH = 4
"""Long enough to be rare (there are half a million pieces of four letters a-z), short enough for small automata."""
_FEW_TEXTS = 4
"""A new text joins an anchor with fewer texts than that before it brings a new one."""
_MOST_PIECES = 64
"""Pieces of a text that are considered as its anchor."""

_FEW_RECENT, _MOST_RECENT = 8, 32
"""New anchors that are looked for one by one (40 ns each): for good, and before they get an automaton."""
_FAN_IN = 4
"""So many automata of about the same size are merged at once, whether or not searches have paid for it: a search in one
more automaton costs about as much as building one with one anchor more."""

_SHORT_TEXT = 512
"""Letters. In texts up to this length `in` is faster than a comparison at the places of the anchor."""
_LETTERS_PER_PLACE = 512
"""In longer ones `in` is faster from one place in so many letters on."""


class Needle(Protocol):
    """A text to be found.

    Attributes:
        text: the text.
        anchor: for the search: where it is kept.
        offset: for the search: letters from the begin of the text to the end of the anchor in it.
    """

    text: str
    anchor: Any
    offset: int


N = TypeVar("N", bound=Needle)


class _Anchor(Generic[N]):
    """A piece that is looked for, and the texts to compare where it is."""

    __slots__ = ("automaton", "needles", "piece")

    def __init__(self, piece: str) -> None:
        self.piece = piece
        self.needles: list[N] = []
        self.automaton: _Automaton[N] | None = None


class _Automaton(Generic[N]):
    """Finds the anchors it was made of. Some of them may be without texts by now."""

    __slots__ = ("anchors", "idle", "search", "tier")

    def __init__(self, anchors: list[_Anchor[N]]) -> None:
        automaton = Automaton(STORE_ANY)
        for anchor in anchors:
            automaton.add_word(anchor.piece, anchor)
            anchor.automaton = self
        automaton.make_automaton()
        self.search = automaton.iter
        """Yields (index of the last letter, anchor) for every occurrence."""
        self.anchors = anchors
        self.idle = 0
        self.tier = len(anchors).bit_length() // 2  # its size, as a power of `_FAN_IN`


class SubstringSearch(Generic[N]):
    """Finds texts in longer texts."""

    def __init__(self) -> None:
        self._anchors: dict[str, _Anchor[N]] = {}
        self._recent: list[_Anchor[N]] = []
        self._automata: list[_Automaton[N]] = []
        self._debt = 0  # searches since the last change
        self._price = 0
        self._everywhere: list[N] = []  # for the empty text

    def add(self, needle: N) -> None:
        """Finds a text, which is not there yet, from now on."""
        if not needle.text:
            self._everywhere.append(needle)
            return
        anchor, offset = self._anchor_of(_folded(needle.text))
        if anchor.automaton is not None and not anchor.needles:
            anchor.automaton.idle -= 1
        needle.anchor, needle.offset = anchor, offset
        anchor.needles.append(needle)
        if len(self._recent) > _MOST_RECENT:
            self._build_recent()
        self._set_price()

    def remove(self, needle: N) -> None:
        """Undoes `add`."""
        if not needle.text:
            self._everywhere.clear()
            return
        anchor = needle.anchor
        anchor.needles.remove(needle)
        if anchor.needles:
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

    def find(self, text: str) -> list[N]:
        """What is remembered for the texts that `text` contains, in any order."""
        folded = text if text.isascii() else _folded(text)
        if len(text) > _SHORT_TEXT:
            return self._find_in_long(text, folded)
        found = self._everywhere.copy()
        for anchor in self._recent:
            if anchor.piece in folded:
                found += [needle for needle in anchor.needles if needle.text in text]
        for automaton in self._automata:
            hits = list(automaton.search(folded))
            for anchor in {anchor for _, anchor in hits}:
                for needle in anchor.needles:
                    if needle.text in text:
                        found.append(needle)
        if self._price:
            self._debt += 1
            if self._debt > self._price:
                self._rebuild(self._automata[-1:] if self._recent else self._automata[-2:])
        return found

    def _find_in_long(self, text: str, folded: str) -> list[N]:
        many = len(text) // _LETTERS_PER_PLACE
        found = self._everywhere.copy()
        found += [needle for anchor in self._recent for needle in anchor.needles if needle.text in text]
        for automaton in self._automata:
            places: dict[_Anchor[N], list[int]] = {}
            for last, anchor in automaton.search(folded):
                ends = places.get(anchor)
                if ends is None:
                    places[anchor] = [last + 1]
                elif len(ends) < many:
                    ends.append(last + 1)
            for anchor, ends in places.items():
                for needle in anchor.needles:
                    # A negative start counts from the end: what matches there is contained as well.
                    if (
                        any(text.startswith(needle.text, end - needle.offset) for end in ends)
                        if len(ends) < many
                        else needle.text in text
                    ):
                        found.append(needle)
        return found

    def _anchor_of(self, folded: str) -> tuple[_Anchor[N], int]:
        """The anchor for a new text, and the offset of the anchor's end in it.

        Looks from the end: the texts of a topic are more alike in their beginnings (`sensor-0815`).
        """
        anchors = self._anchors
        length = len(folded)
        if length <= _ANCHOR_LENGTH:
            return anchors.get(folded) or self._new_anchor(folded), length
        new = least = None
        least_texts = 0
        for end in range(length, _ANCHOR_LENGTH - 1, -max(1, length // _MOST_PIECES)):
            anchor = anchors.get(folded[end - _ANCHOR_LENGTH : end])
            if anchor is None:
                new = new or end
            elif (texts := len(anchor.needles)) < _FEW_TEXTS:
                return anchor, end
            elif least is None or texts < least_texts:
                least, least_texts = (anchor, end), texts
        if new is not None:
            return self._new_anchor(folded[new - _ANCHOR_LENGTH : new]), new
        assert least is not None  # noqa: S101 - there is at least one piece
        return least

    def _new_anchor(self, piece: str) -> _Anchor[N]:
        anchor = self._anchors[piece] = _Anchor(piece)
        self._recent.append(anchor)
        return anchor

    # ---- automata

    def _build_recent(self) -> None:
        """Gives the recent anchors an automaton, and merges those of about the same size, so that there are few."""
        self._automata.append(_Automaton(self._recent))
        self._recent = []
        last = self._automata[-_FAN_IN:]
        while len(last) == _FAN_IN and last[0].tier <= last[-1].tier:
            self._rebuild(last)
            last = self._automata[-_FAN_IN:]

    def _rebuild(self, automata: list[_Automaton[N]]) -> None:
        """Makes one automaton of some and of the recent anchors. Drops anchors without texts."""
        anchors = [anchor for automaton in automata for anchor in automaton.anchors] + self._recent
        self._recent = []
        self._automata = [automaton for automaton in self._automata if automaton not in automata]
        for anchor in anchors:
            if not anchor.needles:
                del self._anchors[anchor.piece]
        needed = [anchor for anchor in anchors if anchor.needles]
        if needed:
            self._automata.append(_Automaton(needed))
            self._automata.sort(key=lambda automaton: -len(automaton.anchors))
        self._set_price()

    def _set_price(self) -> None:
        """After so many searches, what is searched beside the first automaton is merged; 0 when there is nothing."""
        self._debt = 0
        self._price = len(self._recent) + sum(len(automaton.anchors) for automaton in self._automata[-2:])
        if len(self._automata) + bool(self._recent) < 2 and len(self._recent) < _FEW_RECENT:
            self._price = 0


def _folded(text: str) -> str:
    """The text with letters of one byte: an automaton looks through the branches of a node one by one.

    What a text contains, its folded form contains folded (and sometimes more).
    """
    return text if text.isascii() else text.encode("utf-32-le", "surrogatepass")[::4].decode("latin-1")
