"""The search for many texts at once against `in`."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from filter_service.matching.substrings import SubstringSearch


def check(search: SubstringSearch[str], texts: Iterable[str], *haystacks: str) -> None:
    found = search.find_all(haystacks)
    expected = {index: sorted(text for text in texts if text in haystack) for index, haystack in enumerate(haystacks)}
    assert {index: sorted(some) for index, some in found.items()} == {i: some for i, some in expected.items() if some}


letters = st.sampled_from("aab é\U0001d11e\ud834\U00010061")
"""Those of several bytes, half of a pair, and the last one, which folds to `a`, are where searches go wrong."""


@given(st.lists(st.text(letters, max_size=9), unique=True, max_size=40), st.lists(st.text(letters, max_size=40)))
def test_few_texts(texts: list[str], haystacks: list[str]) -> None:
    """What is found is what is contained, before and after half of the texts have gone."""
    search = SubstringSearch[str]()
    for text in texts:
        search.add(text, text)
    check(search, texts, *haystacks)
    for text in texts[::2]:
        search.remove(text)
    check(search, texts[1::2], *haystacks)


@given(seed=st.integers(0, 2**32), alphabet=st.sampled_from(("ab", "abcdefghij", "aé\U0001d11e\U00010061")))
@settings(max_examples=20)
def test_thousands_of_texts_come_and_go(seed: int, alphabet: str) -> None:
    """Sharing and dropping anchors neither loses nor invents a text, in short and in very long ones."""
    draw = random.Random(seed)
    search = SubstringSearch[str]()
    texts: set[str] = set()
    for _ in range(3000):
        text = "".join(draw.choices(alphabet, k=draw.randint(0, 12)))
        if text not in texts:
            texts.add(text)
            search.add(text, text)
        elif draw.random() < 0.7:
            texts.remove(text)
            search.remove(text)
        if draw.random() < 0.02:
            lengths = draw.choice(((5, 60, 0, 60, 512, 60), (3000, 513), (20_000,)))
            check(search, texts, *("".join(draw.choices(alphabet, k=length)) for length in lengths))
    for text in draw.sample(sorted(texts), len(texts)):
        texts.remove(text)
        search.remove(text)
        if draw.random() < 0.02:
            check(search, texts, "".join(draw.choices(alphabet, k=60)))
    check(search, [], "".join(draw.choices(alphabet, k=600)))


def test_texts_by_the_ten_thousand() -> None:
    """So many of four letters that some have the same hash as others, while they come, and when most have gone."""
    draw = random.Random(4)
    search = SubstringSearch[str]()
    texts = ["".join(letters) for letters in itertools.islice(itertools.product("abcdefghijkl", repeat=4), 20_000)]
    draw.shuffle(texts)
    for number, text in enumerate(texts):
        search.add(text, text)
        if number % 500 == 0:
            check(search, texts[: number + 1], *draw.choices(texts, k=5), "".join(draw.choices(texts, k=300)))
    for text in texts[100:]:
        search.remove(text)
    check(search, texts[:100], *texts)
    check(search, texts[:100], *["".join(draw.choices(texts, k=300)) for _ in range(10)])


def test_texts_that_have_gone_take_no_memory() -> None:
    """Five thousand that come and go one by one."""
    search = SubstringSearch[int]()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(5000):
            search.add(f"{number:05}", number)
            search.remove(f"{number:05}")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000
