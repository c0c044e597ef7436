"""The form of tickets."""

import pytest

from ticket_service.ticket import is_ticket, new_ticket, ticket_digest


def test_new_tickets_have_the_promised_form_and_differ() -> None:
    """A ticket is 64 lower-case hexadecimal digits, never the same twice."""
    tickets = {new_ticket() for _ in range(1000)}
    assert len(tickets) == 1000
    assert all(is_ticket(ticket) and len(ticket) == 64 for ticket in tickets)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 63,
        "a" * 65,
        "A" * 64,
        "g" * 64,
        "a" * 64 + "\n",
        " " + "a" * 63,
        "０" * 64,
        "a" * 32 + "\0" + "a" * 31,
    ],
)
def test_other_texts_are_not_tickets(text: str) -> None:
    """What this service cannot have issued is told without asking the store."""
    assert not is_ticket(text)


def test_digest_is_sha256_of_the_text() -> None:
    """The stored name is a one-way function of the ticket."""
    digest = ticket_digest("0" * 64)
    assert digest.hex() == "60e05bd1b195af2f94112fa7197a5c88289058840ce7c6df9693756bc6250f55"
