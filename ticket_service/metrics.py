"""The metrics of this service, all of them. Counted from the event loop, read by the endpoint of `runtime.metrics`."""

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_BUCKETS_SEC = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

CALLS = Counter(
    "kafka_ws_ticket_calls_total",
    "Finished calls, by rpc (issue, redeem, verify, resume) and outcome (ok, missing, invalid, unavailable, internal).",
    ["rpc", "outcome"],
)
CALL_SECONDS = Histogram(
    "kafka_ws_ticket_call_seconds", "Time a call took, by rpc.", ["rpc"], buckets=_LATENCY_BUCKETS_SEC
)
RESUME_CREDENTIALS = Counter("kafka_ws_ticket_resume_credentials_total", "Resume credentials issued.")
FORGED_GRANTS = Counter("kafka_ws_ticket_forged_grants_total", "Stored grants that this service did not write.")
STORE_UP = Gauge("kafka_ws_ticket_store_up", "1 while Redis answers and takes writes, else 0.")
KEY_SET_FETCHES = Counter(
    "kafka_ws_ticket_key_set_fetches_total", "Fetches of the JWK set, by outcome (ok, failed).", ["outcome"]
)
KEY_SET_KEYS = Gauge("kafka_ws_ticket_key_set_keys", "Usable keys in the JWK set at hand.")
