"""Filter service: the query language, Kafka readers, matching and projection, served over gRPC."""

import os

# numpy would start a thread for each core, for linear algebra that nothing here does.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
