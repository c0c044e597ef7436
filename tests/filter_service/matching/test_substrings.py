"""The search for many texts at once against `in`."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from filter_service.matching.substrings import SubstringSearch


class Needle:
    """A text to be found."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.anchor: Any = None
        self.offset = 0


def check(search: SubstringSearch[Needle], needles: list[Needle], text: str) -> None:
    found = search.find(text)
    assert sorted(needle.text for needle in found) == sorted(needle.text for needle in needles if needle.text in text)


letters = st.sampled_from("aab é\U0001d11e\ud834\U00010061")
"""Those of four bytes, and the last one, which folds to `a`, are where a search on bytes goes wrong."""


@given(st.lists(st.text(letters, max_size=9), unique=True, max_size=40), st.lists(st.text(letters, max_size=40)))
def test_few_texts(texts: list[str], haystacks: list[str]) -> None:
    """What is found is what is contained, before and after half of the texts have gone."""
    search: SubstringSearch[Needle] = SubstringSearch()
    needles = [Needle(text) for text in texts]
    for needle in needles:
        search.add(needle)
    for haystack in haystacks:
        check(search, needles, haystack)
    for needle in needles[::2]:
        search.remove(needle)
    for haystack in haystacks:
        check(search, needles[1::2], haystack)


@given(seed=st.integers(0, 2**32), alphabet=st.sampled_from(("ab", "abcdefghij", "aé\U0001d11e\U00010061")))
@settings(max_examples=20)
def test_thousands_of_texts_come_and_go(seed: int, alphabet: str) -> None:
    """Neither merging automata nor dropping anchors loses or invents a text, in short and in very long ones."""
    draw = random.Random(seed)
    search: SubstringSearch[Needle] = SubstringSearch()
    needles: dict[str, Needle] = {}
    for _ in range(3000):
        text = "".join(draw.choices(alphabet, k=draw.randint(0, 12)))
        if text in needles:
            if draw.random() < 0.7:
                search.remove(needles.pop(text))
        else:
            needles[text] = Needle(text)
            search.add(needles[text])
        if draw.random() < 0.02:
            length = draw.choice((0, 5, 60, 512, 513, 3000, 20_000))
            check(search, list(needles.values()), "".join(draw.choices(alphabet, k=length)))
    for text in draw.sample(list(needles), len(needles)):
        search.remove(needles.pop(text))
        if draw.random() < 0.02:
            check(search, list(needles.values()), "".join(draw.choices(alphabet, k=60)))
    check(search, [], "".join(draw.choices(alphabet, k=600)))
