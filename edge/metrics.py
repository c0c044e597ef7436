"""Metrics of the edge, all in one place. Changed from the event loop, read by `runtime.metrics`' endpoint."""

from prometheus_client import Counter, Gauge, Histogram

from runtime.metrics import HotCounter, HotGauge

HTTP_REQUESTS = Counter(
    "kafka_ws_edge_http_requests",
    "HTTP responses, by endpoint and status; 101 is an accepted handshake.",
    ["endpoint", "status"],
)
REQUEST_SECONDS = Histogram(
    "kafka_ws_edge_http_request_seconds", "Seconds from a request's headers to the response.", ["endpoint"]
)
CONNECTIONS = Gauge("kafka_ws_edge_connections", "WebSockets open, or in their handshake.")
WAITING_REQUESTS = HotGauge("kafka_ws_edge_waiting_requests", "Requests that wait until others have been answered.")
CLOSES = Counter("kafka_ws_edge_closes", "WebSockets closed, by the code sent or received (1006: none).", ["code"])
SUBSCRIPTIONS = Gauge("kafka_ws_edge_subscriptions", "Subscriptions open at the filter service.", ["kind"])
RECORDS = HotCounter("kafka_ws_edge_records", "Records received, counted once for each subscription.")
DELIVERIES = HotCounter("kafka_ws_edge_deliveries", "Records handed to WebSockets.")
WRITTEN_BYTES = HotCounter("kafka_ws_edge_written_bytes", "Bytes of frames handed to WebSockets.")
BACKLOG_BYTES = HotGauge("kafka_ws_edge_backlog_bytes", "Bytes of frames received and not yet taken by the writer.")
LAGGING = Gauge("kafka_ws_edge_lagging_connections", "Sockets that have fallen behind their stream.")
LAG = Gauge("kafka_ws_edge_longest_lag_offsets", "Offsets by which the socket furthest behind its stream is behind.")
DETACHES = Counter("kafka_ws_edge_slow_consumer_detaches", "Times that a WebSocket went over its high mark.")
FILTER_REPLICAS = Gauge("kafka_ws_edge_filter_replicas", "Filter replicas, by state.", ["state"])
MOVES = Counter("kafka_ws_edge_subscription_moves", "Subscriptions opened at another replica, by cause.", ["cause"])
