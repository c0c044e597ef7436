"""`python -m filter_service`: reads the settings, serves until SIGTERM, drains."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog
from confluent_kafka import KafkaException
from kafka_ws.filter.v1 import filter_pb2_grpc

import runtime.metrics
from filter_service import metrics
from filter_service.config import FilterSettings, librdkafka_properties, property_error, property_variable
from filter_service.errors import KafkaUnavailableError
from filter_service.kafka_source import READER_FIXED, KafkaLookups, client_properties, describe
from filter_service.servicer import SERVICE_NAME, FilterServicer
from filter_service.subscriptions import Subscriptions
from runtime import event_loop, logs, memory, settings, tls
from runtime.grpc_server import GrpcServer

log = structlog.get_logger("filter_service")

END_OF_STREAMS_SEC = 0.5
"""How long calls that were ended may take to tell their clients so."""

KAFKA_CHECK_INTERVAL_SEC = 1.0
"""Seconds between looks at whether Kafka answers."""


async def watch_kafka(
    lookups: KafkaLookups, subscriptions: Subscriptions, servicer: FilterServicer, server: GrpcServer
) -> None:
    """Keeps health and the sessions' status in line with whether Kafka answers, until cancelled."""
    logged: bool | None = None
    while True:
        try:
            await lookups.check()
            available = True
        except KafkaUnavailableError as error:
            available = False
            if logged is not False:
                log.warning("Kafka is away", problem=str(error))
        if available and not logged:
            log.info("Kafka answers")
        logged = available
        if available is not subscriptions.kafka_available:
            subscriptions.kafka_available = available
            metrics.KAFKA_AVAILABLE.set(available)
            servicer.announce_status()
            server.set_serving(available)
        await asyncio.sleep(KAFKA_CHECK_INTERVAL_SEC)


async def serve(config: FilterSettings) -> None:
    """Runs the service until a stop signal.

    Raises:
        ConfigurationError: it cannot run as configured.
    """
    stop = event_loop.stop_signal()
    passed_through = librdkafka_properties()
    for name in sorted(passed_through.keys() & READER_FIXED.keys()):
        log.warning("setting has no effect", variable=property_variable(name), always=READER_FIXED[name])
    properties = client_properties(config.consumer_metadata_broker_list, passed_through)
    try:
        lookups = KafkaLookups(properties, config.filter_kafka_timeout_sec)
        subscriptions = Subscriptions(config, properties, lookups)
    except KafkaException as error:
        raise property_error(passed_through, describe(error)) from error
    subscriptions.kafka_available = False
    servicer = FilterServicer(subscriptions, config.filter_max_query_length)
    server = GrpcServer(
        config.filter_grpc_host, config.filter_grpc_port, tls.server_credentials(config), [SERVICE_NAME]
    )
    filter_pb2_grpc.add_FilterServiceServicer_to_server(servicer, server.server)
    runtime.metrics.serve(config.metrics_host, config.metrics_port)
    subscriptions.start()
    address = await server.start()
    log.info("listening", address=address, kafka=config.consumer_metadata_broker_list)
    background: list[asyncio.Future[None]] = [
        asyncio.create_task(watch_kafka(lookups, subscriptions, servicer, server)),
        asyncio.create_task(subscriptions.catalog.watch()),
        asyncio.create_task(servicer.give_signs_of_life()),
        subscriptions.failed,
    ]
    stopped: asyncio.Future[Any] = asyncio.create_task(stop.wait())
    ends: list[asyncio.Future[Any]] = [stopped, *background]
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    log.info("draining", grace_sec=config.shutdown_grace_sec)
    subscriptions.draining = True
    background[0].cancel()
    server.set_serving(False)
    servicer.announce_draining(config.shutdown_grace_sec)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(servicer.idle.wait(), config.shutdown_grace_sec)
    servicer.end_streams()
    await server.drain(END_OF_STREAMS_SEC)
    for task in ends:
        task.cancel()
    await asyncio.to_thread(subscriptions.stop)
    lookups.close()
    for task in done:
        task.result()
    log.info("stopped")


def main() -> None:
    """Entry point of the process."""
    config = settings.load(FilterSettings)
    logs.configure("filter_service", config.log_level, config.log_format)
    memory.tune()
    event_loop.run(serve(config))


if __name__ == "__main__":
    main()
