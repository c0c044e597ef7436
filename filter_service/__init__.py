"""Filter service: the query language, Kafka readers, matching and projection, served over gRPC."""
