"""How much of long queries one process holds, so that clients with many of the longest cannot use its memory up.

Used by `subscriptions`, on the event loop. Parsed and indexed, a query takes up to 400 times the bytes of its text:
20 MB for the longest. Short ones are not counted: `filter_max_subscriptions` bounds those, and however many long ones
there are, a client with a short query is served.
"""

from __future__ import annotations

from filter_service.errors import TooManyLongQueriesError
from filter_service.query_compiler import INLINE_LENGTH


class QueryBudget:
    """Room for long queries.

    Args:
        limit: characters of all long queries together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def take(self, where: str, fields: str) -> int:
        """Makes room for a query.

        Returns:
            What to give back when the query is not needed any more.

        Raises:
            TooManyLongQueriesError: there is none.
        """
        length = len(where) + len(fields)
        if length <= INLINE_LENGTH:
            return 0
        if self._held + length > self._limit:
            raise TooManyLongQueriesError(self._limit)
        self._held += length
        return length

    def give_back(self, length: int) -> None:
        """A query is not needed any more."""
        self._held -= length
