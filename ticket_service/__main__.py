"""`python -m ticket_service`: reads the settings, serves until SIGTERM, drains."""

import asyncio
from urllib.parse import urlsplit

import structlog
from kafka_ws.ticket.v1 import ticket_pb2_grpc

import runtime.metrics
from runtime import event_loop, logs, settings, tls
from runtime.grpc_server import GrpcServer
from ticket_service.config import TicketServiceSettings
from ticket_service.key_set import KeySet, http_fetch
from ticket_service.resume_credential import ResumeCredentials
from ticket_service.sealed_grants import SealedGrants
from ticket_service.servicer import SERVICE_NAME, Tickets, TicketServicer
from ticket_service.store import connect
from ticket_service.store_monitor import watch
from ticket_service.token_verifier import GatewayTokens, SignedTokens, TokenVerifier
from ticket_service.verification_keys import SECRET_BYTES_MINIMUM, VerificationKey

log = structlog.get_logger("ticket_service")


async def serve(config: TicketServiceSettings) -> None:
    """Runs the service until a stop signal.

    Raises:
        ConfigurationError: it cannot run as configured.
    """
    stop = event_loop.stop_signal()
    keys = config.verification_keys()
    key_set = _key_set(config)
    _warn(config, keys)
    server = GrpcServer(
        config.ticket_grpc_host, config.ticket_grpc_port, tls.server_credentials(config), [SERVICE_NAME]
    )
    store = connect(config)
    grants = SealedGrants(store, config.sealing_key())
    tickets = Tickets(
        _verifier(config, keys, key_set),
        grants,
        ResumeCredentials(grants, config.resume_max_sec),
        lifetime_sec=config.ticket_expiration_sec,
    )
    ticket_pb2_grpc.add_TicketServiceServicer_to_server(TicketServicer(tickets), server.server)
    runtime.metrics.serve(config.metrics_host, config.metrics_port)
    address = await server.start()
    log.info(
        "listening",
        address=address,
        tls=bool(config.grpc_tls_cert_file),
        redis=f"{config.redis_host}:{config.redis_port}",
        algorithms=sorted(frozenset[str]().union(*(key.algorithms for key in keys))),
        key_set_host=urlsplit(config.token_jwks_url).hostname,
    )
    background = [asyncio.create_task(watch(store, server.set_serving))]
    if key_set is not None:
        background.append(asyncio.create_task(key_set.run()))
    stopped = asyncio.create_task(stop.wait())
    # The background tasks never end by themselves: one that does has failed, and takes the service down with it,
    # rather than leaving it with a health that nobody updates.
    done, _ = await asyncio.wait([stopped, *background], return_when=asyncio.FIRST_COMPLETED)
    log.info("draining", grace_sec=config.shutdown_grace_sec)
    await server.drain(config.shutdown_grace_sec)
    for task in (stopped, *background):
        task.cancel()
    await store.close()
    for task in done:
        task.result()
    log.info("stopped")


def _key_set(config: TicketServiceSettings) -> KeySet | None:
    if not config.token_jwks_url:
        return None
    return KeySet(
        http_fetch(config.token_jwks_url, config.token_jwks_timeout_sec),
        config.pinned_algorithms(),
        refresh_sec=config.token_jwks_refresh_sec,
        stale_sec=config.token_jwks_stale_sec,
    )


def _verifier(config: TicketServiceSettings, keys: list[VerificationKey], key_set: KeySet | None) -> TokenVerifier:
    if config.token_trust_gateway:
        return GatewayTokens()
    return SignedTokens(
        keys,
        key_set,
        pinned=config.pinned_algorithms(),
        issuer=config.token_issuer,
        audience=config.token_audience,
    )


def _warn(config: TicketServiceSettings, keys: list[VerificationKey]) -> None:
    """Says what an operator should know before an attacker does."""
    if config.token_trust_gateway:
        log.warning(
            "TOKENS ARE NOT VERIFIED: whoever reaches the edge past the API gateway can name any tenant",
            variable="KAFKA_WS_TOKEN_TRUST_GATEWAY",
        )
    for key in keys:
        if key.weakness:
            log.warning("WEAK KEY: " + key.weakness)
    secret = config.ticket_grant_secret
    if secret is not None and len(secret.get_secret_value().encode()) < SECRET_BYTES_MINIMUM:
        log.warning(f"WEAK KEY: KAFKA_WS_TICKET_GRANT_SECRET has less than {SECRET_BYTES_MINIMUM} bytes")
    if config.token_jwks_url.startswith("http://"):
        log.warning("the key set is fetched without TLS: whoever is on the way can replace the keys")


def main() -> None:
    """Entry point of the process."""
    config = settings.load(TicketServiceSettings)
    logs.configure("ticket_service", config.log_level, config.log_format)
    event_loop.run(serve(config))


if __name__ == "__main__":
    main()
