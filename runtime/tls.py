"""TLS for gRPC: credentials for servers and channels from three PEM files.

Called once at start. `KAFKA_WS_GRPC_TLS_CERT_FILE`, `_KEY_FILE` and `_CA_FILE` mean, on a server: its certificate,
its key, and the authority that clients' certificates must come from (none asked for when empty); on a client: its own
certificate and key (none presented when empty), and the authority the server's certificate must come from (the
system's when empty). All three empty: plain text.
"""

import grpc

from runtime.settings import ConfigurationError, ServiceSettings


def server_credentials(settings: ServiceSettings) -> grpc.ServerCredentials | None:
    """Credentials to listen with; None: plain text.

    Raises:
        ConfigurationError: a file cannot be read, or certificate and key are not given together.
    """
    certificate, key, authority = _read_all(settings)
    if certificate is None or key is None:
        if authority is not None:
            raise ConfigurationError(
                "KAFKA_WS_GRPC_TLS_CERT_FILE, KAFKA_WS_GRPC_TLS_KEY_FILE: must be set "
                "when KAFKA_WS_GRPC_TLS_CA_FILE is, a server cannot ask for certificates without its own."
            )
        return None
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=authority, require_client_auth=authority is not None
    )


def channel_credentials(settings: ServiceSettings) -> grpc.ChannelCredentials | None:
    """Credentials to connect with; None: plain text.

    Raises:
        ConfigurationError: a file cannot be read, or certificate and key are not given together.
    """
    certificate, key, authority = _read_all(settings)
    if certificate is None and authority is None:
        return None
    return grpc.ssl_channel_credentials(root_certificates=authority, private_key=key, certificate_chain=certificate)


def _read_all(settings: ServiceSettings) -> tuple[bytes | None, bytes | None, bytes | None]:
    if bool(settings.grpc_tls_cert_file) != bool(settings.grpc_tls_key_file):
        raise ConfigurationError(
            "KAFKA_WS_GRPC_TLS_CERT_FILE, KAFKA_WS_GRPC_TLS_KEY_FILE: set both or neither, one is useless alone."
        )
    return (
        _read("KAFKA_WS_GRPC_TLS_CERT_FILE", settings.grpc_tls_cert_file),
        _read("KAFKA_WS_GRPC_TLS_KEY_FILE", settings.grpc_tls_key_file),
        _read("KAFKA_WS_GRPC_TLS_CA_FILE", settings.grpc_tls_ca_file),
    )


def _read(variable: str, path: str) -> bytes | None:
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ConfigurationError(f"{variable}: cannot read {path!r}: {error.strerror}.") from None
    if b"-----BEGIN " not in content:
        raise ConfigurationError(f"{variable}: {path!r} is not a PEM file.")
    return content
