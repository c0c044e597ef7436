"""What can go wrong when a subscription is opened or served, as exceptions that hold data.

    FilterError
    ├── KafkaUnavailableError      Kafka did not answer in time; nothing is wrong with the request
    ├── InvalidSubscriptionError   topic, partitions or start of the request are malformed
    ├── SubscriptionIdError        the number of the request cannot be used on this session now
    ├── PositionGoneError          the records asked for are no longer in Kafka (retention)
    ├── TopicReplacedError         the topic that a position belongs to was deleted
    ├── TooManySubscriptionsError  the session holds as many subscriptions as are allowed
    ├── TooManyLongQueriesError    the process holds as much of long queries as is allowed
    └── DrainingError              this replica is about to stop

Errors of the query language are `filter_service.language.LanguageError`; both are turned into the contract's
`Rejection` in one place, `filter_service.rejections`.
"""

from __future__ import annotations

from typing import Literal

RequestPart = Literal["topic", "partitions", "start", "stop"]
"""Field of a `Subscription` message besides its query."""


class FilterError(Exception):
    """Base of everything a client is told besides language errors."""


class KafkaUnavailableError(FilterError):
    """Kafka cannot be reached or did not answer in time."""

    def __init__(self, action: str, cause: str) -> None:
        super().__init__(action, cause)
        self.action = action
        self.cause = cause

    def __str__(self) -> str:
        return f"Kafka did not answer while {self.action}: {self.cause}"


class InvalidSubscriptionError(FilterError):
    """The request cannot be served by any replica.

    Args:
        part: the field of the request that is wrong.
        problem: what is wrong with it, in words that fit behind "<part>: ".
    """

    def __init__(self, part: RequestPart, problem: str) -> None:
        super().__init__(part, problem)
        self.part: RequestPart = part
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.part}: {self.problem}"


class SubscriptionIdError(FilterError):
    """An `open` of a session bears a number that cannot be given to a subscription now."""

    def __init__(self, subscription_id: int) -> None:
        super().__init__(subscription_id)
        self.subscription_id = subscription_id

    def __str__(self) -> str:
        if self.subscription_id == 0:
            return "subscription id 0 is reserved; count from 1"
        return f"subscription id {self.subscription_id} is in use on this session"


class PositionGoneError(FilterError):
    """Records from `wanted` on were asked for, but the partition now begins at `first`."""

    def __init__(self, partition: int, wanted: int, first: int | None) -> None:
        super().__init__(partition, wanted, first)
        self.partition = partition
        self.wanted = wanted
        self.first = first

    def __str__(self) -> str:
        first = "" if self.first is None else f", first offset is {self.first}"
        return f"partition {self.partition}: offset {self.wanted} is gone{first}"


class TopicReplacedError(FilterError):
    """The topic was deleted, and maybe created again: positions in the old one mean nothing now."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic

    def __str__(self) -> str:
        return f"topic {self.topic} was deleted since; positions in it are gone"


class TooManySubscriptionsError(FilterError):
    """A session asked for more than `limit` subscriptions."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"this session already holds {self.limit} subscriptions"


class TooManyLongQueriesError(FilterError):
    """Long queries of more than `limit` characters would be open at once."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"long queries of {self.limit} characters are open already (KAFKA_WS_FILTER_MAX_QUERY_TOTAL)"


class DrainingError(FilterError):
    """The replica is about to stop."""

    def __str__(self) -> str:
        return "this replica is draining; open the subscription at another one"
