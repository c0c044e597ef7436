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


class _Anchor:
    """A piece that is looked for, and the texts to compare where it is."""

    __slots__ = ("automaton", "piece", "texts")

    def __init__(self, piece: str) -> None:
        self.piece = piece
        self.texts: list[str] = []
        self.automaton: _Automaton | None = None


class _Automaton:
    """Finds the anchors it was made of. Some of them may be without texts by now."""

    __slots__ = ("anchors", "idle", "search", "tier")

    def __init__(self, anchors: list[_Anchor]) -> None:
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


class SubstringSearch:
    """Finds texts in longer texts."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[_Anchor, int]] = {}  # of a text: its anchor, and letters up to the anchor's end
        self._anchors: dict[str, _Anchor] = {}
        self._recent: list[_Anchor] = []
        self._automata: list[_Automaton] = []
        self._debt = 0  # searches since the last change
        self._price = 0
        self._everywhere: list[str] = []  # the empty text, if it is there

    def add(self, text: str) -> None:
        """Finds a text, which is not there yet, from now on."""
        if not text:
            self._everywhere.append(text)
            return
        anchor, offset = self._anchor_of(_folded(text))
        if anchor.automaton is not None and not anchor.texts:
            anchor.automaton.idle -= 1
        anchor.texts.append(text)
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
        anchor.texts.remove(text)
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

    def find(self, haystack: str) -> list[str]:
        """The texts that another contains, each once, in any order."""
        folded = haystack if haystack.isascii() else _folded(haystack)
        if len(haystack) > _SHORT_TEXT:
            return self._find_in_long(haystack, folded)
        found = self._everywhere.copy()
        for anchor in self._recent:
            if anchor.piece in folded:
                found += [text for text in anchor.texts if text in haystack]
        for automaton in self._automata:
            hits = [anchor for _, anchor in automaton.search(folded)]
            for anchor in set(hits) if len(hits) > 1 else hits:
                for text in anchor.texts:
                    if text in haystack:
                        found.append(text)
        if self._price:
            self._debt += 1
            if self._debt > self._price:
                self._rebuild(self._automata[-1:] if self._recent else self._automata[-2:])
        return found

    def _find_in_long(self, haystack: str, folded: str) -> list[str]:
        many = len(haystack) // _LETTERS_PER_PLACE
        found = self._everywhere.copy()
        found += [text for anchor in self._recent for text in anchor.texts if text in haystack]
        for automaton in self._automata:
            places: dict[_Anchor, list[int]] = {}
            for last, anchor in automaton.search(folded):
                ends = places.get(anchor)
                if ends is None:
                    places[anchor] = [last + 1]
                elif len(ends) < many:
                    ends.append(last + 1)
            for anchor, ends in places.items():
                for text in anchor.texts:
                    offset = self._places[text][1]
                    # A negative start counts from the end: what matches there is contained as well.
                    if (
                        any(haystack.startswith(text, end - offset) for end in ends)
                        if len(ends) < many
                        else text in haystack
                    ):
                        found.append(text)
        return found

    def _anchor_of(self, folded: str) -> tuple[_Anchor, int]:
        """The anchor for a new text, and the letters up to the anchor's end in it.

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
            elif (texts := len(anchor.texts)) < _FEW_TEXTS:
                return anchor, end
            elif least is None or texts < least_texts:
                least, least_texts = (anchor, end), texts
        if new is not None:
            return self._new_anchor(folded[new - _ANCHOR_LENGTH : new]), new
        assert least is not None  # noqa: S101 - there is at least one piece
        return least

    def _new_anchor(self, piece: str) -> _Anchor:
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

    def _rebuild(self, automata: list[_Automaton]) -> None:
        """Makes one automaton of some and of the recent anchors. Drops anchors without texts."""
        anchors = [anchor for automaton in automata for anchor in automaton.anchors] + self._recent
        self._recent = []
        self._automata = [automaton for automaton in self._automata if automaton not in automata]
        for anchor in anchors:
            if not anchor.texts:
                del self._anchors[anchor.piece]
        needed = [anchor for anchor in anchors if anchor.texts]
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
