"""One rule as a function of a record: the quickest way to ask while there are only a few rules.

Used by `rule_index` on the reader's thread. Says what the columns say, for it is made of the same terms.
"""

from __future__ import annotations

from collections.abc import Callable

from filter_service import values
from filter_service.matching.terms import Keys, Range, Steps, Term, Terms, Truth

Predicate = Callable[[object], bool]


def predicate_of(terms: Terms) -> Predicate:
    """Whether a record, a parsed JSON object or array, fulfils all terms and other conditions."""
    parts = [_at(term.path, _test_of(term)) for term in terms.indexed if not isinstance(term, Range)]
    parts += [_range_at(term) for term in terms.indexed if isinstance(term, Range)]
    parts += [_at(condition.path, condition.matches) for condition in terms.others]
    if len(parts) == 1:
        return parts[0]
    return lambda document: all(part(document) for part in parts)


def _at(path: Steps, test: Predicate) -> Predicate:
    """Whether the value at a path fulfils a test."""
    return lambda document: test(values.find(document, path))


def _range_at(term: Range) -> Predicate:
    """Whether a number in a range is at its path: the most usual condition, mostly on a member of the record."""
    name, low, high = term.path[0], term.low, term.high
    at_path = _at(term.path, _test_of(term))
    if len(term.path) > 1:
        return at_path

    def holds(document: object) -> bool:
        if type(document) is dict:
            value = document.get(name)
            if type(value) is float:
                return low <= value <= high
        return at_path(document)

    return holds


def _test_of(term: Term) -> Predicate:
    """Whether a value at the term's path fulfils it."""
    match term:
        case Range():
            return _range_test(term.low, term.high)
        case Truth():
            expected = term.expected
            return lambda value: values.boolean(value) is expected
        case Keys():
            return _texts_test(term) if term.texts else _numbers_test(term)


def _range_test(low: float, high: float) -> Predicate:
    def test(value: object) -> bool:
        number = value if type(value) is float else values.numeric(value)
        return number is not None and low <= number <= high

    return test


def _numbers_test(term: Keys) -> Predicate:
    wanted, unwanted = term.wanted, term.unwanted

    def test(value: object) -> bool:
        number = values.numeric(value)
        return number is not None and (not wanted or number in wanted) and number not in unwanted

    return test


def _texts_test(term: Keys) -> Predicate:
    wanted, unwanted = [str(item) for item in term.wanted], [str(item) for item in term.unwanted]

    def test(value: object) -> bool:
        text = values.text(value)
        if text is None:
            return not wanted
        return (not wanted or any(item in text for item in wanted)) and not any(item in text for item in unwanted)

    return test
