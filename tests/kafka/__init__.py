"""A real Apache Kafka for tests: :class:`~tests.kafka.cluster.KafkaCluster` and what it needs."""
