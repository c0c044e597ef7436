"""The whole system under faults: real processes, a real Kafka of three brokers, and clients that check every record.

`make chaos` runs :mod:`tests.chaos.__main__`; `make test` runs a short form of the same. Each run is made of one
process that does harm and keeps the books (:mod:`tests.chaos.run`), one that writes (:mod:`tests.chaos.producer`), and
a few with clients (:mod:`tests.chaos.clients`).
"""
