"""Settings of the edge (`KAFKA_WS_*`, design "Settings"). Read once at start by `__main__`."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from runtime.settings import CommaList, ListenPort, ServiceSettings

_MIB = 1024 * 1024


def split_address(address: str) -> tuple[str, int]:
    """`host:port` (`[host]:port` for an IPv6 address) as host and port.

    Raises:
        ValueError: it has another form; the text is a sentence for the operator.
    """
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{address!r} is not of the form host:port.")
    return host, int(port)


class EdgeSettings(ServiceSettings):
    """What an operator can set. Every field is the variable `KAFKA_WS_<NAME>`."""

    server_host: str = Field("127.0.0.1", min_length=1, description="Address the HTTP server listens on.")
    server_port: ListenPort = Field(8080, description="Port of the HTTP server; 0 takes a free one.")
    server_connection_max_life_time: float = Field(
        7200.0,
        le=10 * 365 * 86400,
        description="Seconds until a WebSocket is closed with 4408; 0 or less: no limit.",
    )
    server_jwt_exp_time: bool = Field(
        False,
        description="Close a WebSocket with 4408 when its token expires; with a maximum life time too, at the "
        "later of both, so a connection may outlive its token.",
    )
    server_allowed_origins: CommaList = Field(
        (),
        description="Values of `Origin` that may open WebSockets, separated by commas, e.g. "
        "`https://app.example.com`; others get 403. Clients that send none (not browsers) may always. Empty: any.",
    )
    server_ping_interval_sec: float = Field(
        30.0, ge=0, le=86400, description="Seconds between pings to each WebSocket; 0: none."
    )
    server_ping_timeout_sec: float = Field(
        30.0,
        gt=0,
        le=86400,
        description="Seconds in which a peer must answer a ping, or take data, before it counts as dead.",
    )
    server_unavailable_timeout_sec: float = Field(
        30.0,
        gt=0,
        le=86400,
        description="Seconds that open WebSockets wait for Kafka or a filter replica before they are closed with 4503.",
    )
    server_max_connections: int = Field(15_000, ge=1, description="WebSockets per process; more get 503.")
    server_max_header_size: int = Field(
        256 * 1024, ge=4096, le=16 * _MIB, description="Bytes of an HTTP request's line and headers."
    )
    server_max_message_size: int = Field(
        64 * 1024, ge=125, le=16 * _MIB, description="Bytes of one message from a client (they are ignored)."
    )
    server_idle_timeout_sec: float = Field(
        60.0, gt=0, le=86400, description="Seconds an HTTP connection may be idle, or take to send a request's headers."
    )
    server_slow_consumer_high_mark: int = Field(
        2 * _MIB,
        ge=1024,
        description="Bytes waiting for one WebSocket above which it leaves the shared stream and catches up later.",
    )
    server_slow_consumer_low_mark: int = Field(
        256 * 1024, ge=0, description="Bytes waiting for one WebSocket at which it is given records again."
    )
    server_slow_consumer_timeout_sec: float = Field(
        60.0, gt=0, le=86400, description="Seconds after which a WebSocket that takes no data is closed with 4429."
    )
    server_send_buffer: int = Field(
        0,
        ge=0,
        le=64 * _MIB,
        description="Bytes that the kernel may hold for one WebSocket (`SO_SNDBUF`); 0: the kernel decides, up to "
        "`net.ipv4.tcp_wmem`. A small one saves memory with many slow clients and slows distant ones down.",
    )
    server_compression: bool = Field(
        False,
        description="Compress frames for WebSockets that offer permessage-deflate: worth it for records from some "
        "hundred bytes on, over slow networks.",
    )
    server_write_limit: int = Field(
        _MIB,
        ge=1024,
        description="Bytes written to one WebSocket at a time, when more are waiting; half of the high mark at most.",
    )
    server_backlog_limit: int = Field(
        16 * _MIB,
        ge=1024,
        description="Bytes received from the filter service and not yet written, from which on none are read.",
    )
    server_linger_sec: float = Field(
        2.0, ge=0, le=3600, description="Seconds a stream stays open at the filter service after its last WebSocket."
    )
    server_position_interval_sec: float = Field(
        2.0,
        gt=0,
        le=3600,
        description="Seconds between positions told on streams without records (`format=record`, server-sent events).",
    )
    filter_address: CommaList = Field(
        ("127.0.0.1:50051",),
        description="Filter service, `host:port`, several separated by commas; each name stands for all its addresses.",
    )
    filter_resolve_interval_sec: float = Field(
        5.0, gt=0, le=3600, description="Seconds between look-ups of the filter service's names."
    )
    filter_open_timeout_sec: float = Field(
        10.0,
        gt=0,
        le=3600,
        description="Seconds the filter service may take to open a stream before the client gets 503.",
    )
    ticket_address: str = Field("127.0.0.1:50052", description="Ticket service, `host:port`.")
    ticket_timeout_sec: float = Field(
        5.0, gt=0, le=3600, description="Seconds the ticket service may take to answer before the client gets 503."
    )

    @field_validator("filter_address")
    @classmethod
    def _filter_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("at least one host:port is needed.")
        for address in value:
            split_address(address)
        return value

    @field_validator("ticket_address")
    @classmethod
    def _ticket_address(cls, value: str) -> str:
        split_address(value)
        return value

    @model_validator(mode="after")
    def _marks_in_order(self) -> Self:
        if self.server_slow_consumer_low_mark >= self.server_slow_consumer_high_mark:
            raise ValueError(
                "KAFKA_WS_SERVER_SLOW_CONSUMER_LOW_MARK: must be below KAFKA_WS_SERVER_SLOW_CONSUMER_HIGH_MARK."
            )
        return self
