"""Every metric of the filter service, declared once. Incremented per batch, never per record."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECORDS_READ = Counter("kafka_ws_filter_records_read_total", "Records read from Kafka.", ["reader"])
RECORDS_FAILED = Counter("kafka_ws_filter_records_failed_total", "Records whose evaluation failed unexpectedly.")
RECORDS_SENT = Counter("kafka_ws_filter_values_sent_total", "Distinct values put into outboxes.")
BATCH_SECONDS = Histogram(
    "kafka_ws_filter_batch_seconds",
    "Time to match and project one batch of records.",
    ["reader"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
SUBSCRIPTIONS = Gauge("kafka_ws_filter_subscriptions", "Open subscriptions.")
STREAMS = Gauge("kafka_ws_filter_streams", "Open gRPC streams.", ["rpc"])
REJECTIONS = Counter("kafka_ws_filter_rejections_total", "Subscriptions refused or ended, by close code.", ["code"])
PARTITIONS = Gauge("kafka_ws_filter_partitions", "Partitions being read.", ["reader"])
DETACHED = Counter("kafka_ws_filter_detached_total", "Times a stream fell behind and was detached from a reader.")
OUTBOX_BYTES = Gauge("kafka_ws_filter_outbox_bytes", "Bytes that wait to be sent, all streams together.")
KAFKA_AVAILABLE = Gauge("kafka_ws_filter_kafka_available", "1 while Kafka answers, else 0.")
LOOKUPS = Counter("kafka_ws_filter_offset_lookups_total", "Offset requests sent to Kafka.", ["kind"])
