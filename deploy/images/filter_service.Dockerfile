# syntax=docker/dockerfile:1
# The filter service: reads and filters Kafka, with nothing of the other tiers. Build it from the repository's root:
#   docker build -f deploy/images/filter_service.Dockerfile -t kafka-ws-filter .
#
# Runs as any user, with a read-only root file system. There is no HEALTHCHECK: orchestrators ask the standard gRPC health service.

ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /build
COPY deploy/images/requirements/filter_service.txt requirements.txt
RUN python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check --no-input \
      --require-hashes --only-binary :all: --requirement requirements.txt
COPY proto/generated /app/proto/generated
COPY runtime /app/runtime
COPY filter_service /app/filter_service
COPY LICENSE /app/
# Compiled now, since nothing can be written later; by hash, since file times do not survive every registry.
RUN python -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${PYTHON}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app:/app/proto/generated \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    KAFKA_WS_FILTER_GRPC_HOST=0.0.0.0 \
    KAFKA_WS_METRICS_HOST=0.0.0.0
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER 65532:65532
EXPOSE 50051
STOPSIGNAL SIGTERM
CMD ["python", "-m", "filter_service"]
