"""Forms of `where` texts: parsing a text by its form is parsing the text."""

from hypothesis import example, given

from filter_service.language import LanguageError
from filter_service.language.form import form_of
from filter_service.language.parser import parse_form, parse_where
from filter_service.language.tree import ConditionNode
from tests.properties import strategies

Outcome = tuple[ConditionNode, ...] | tuple[int, str, int, int]


def by_form(text: str) -> Outcome:
    try:
        return parse_where(text)
    except LanguageError as error:
        return error.code, error.reason, error.offset, error.length


def as_it_stands(text: str) -> Outcome:
    """What the parser makes of the whole text."""
    try:
        return tuple(condition.of(text, range(len(text) + 1)) for condition in parse_form(text))
    except LanguageError as error:
        return error.code, error.reason, error.offset, error.length


@given(strategies.wheres | strategies.where_noise)
@example("temperature=abC:5;")
@example("temperature==eq:5;")
@example('status=in:"=gt:\\=lt:",=in:;')
@example("status=in:ab=cd:ef;")
@example("temp;erature=unknown:5;")
def test_a_text_means_what_its_form_says(text: str) -> None:
    """Conditions, errors and their places are the same whether a text is parsed whole or by its form."""
    assert by_form(text) == as_it_stands(text)


def test_texts_that_differ_in_names_and_values_have_one_form() -> None:
    """That is what saves work: only operators and punctuation make another form."""
    form, _ = form_of("temperature=gte:25.5;status=in:ok;")
    assert form_of("p=gte:1.0;state-2=in:überhitzt und aus;")[0] == form == "A=gte:A.A;A=in:A;"
    assert form_of("temperature=gt:25.5;status=in:ok;")[0] != form
