"""The gRPC server around every service: health, reflection, limits, draining, TLS. Real servers on loopback."""

import asyncio
import datetime
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from runtime import tls
from runtime.grpc_server import CHANNEL_OPTIONS, MESSAGE_SIZE_LIMIT, GrpcServer
from runtime.settings import ConfigurationError, ServiceSettings

NAME = "example.v1.EchoService"
PATIENCE_SEC = 30
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Echo(grpc.GenericRpcHandler):
    """A service in bytes: `/Echo` answers what it got; `/Wait` answers when it is let go."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.let_go = asyncio.Event()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]
        """Chooses the method."""
        if details.method == f"/{NAME}/Echo":
            return grpc.unary_unary_rpc_method_handler(self._echo)
        if details.method == f"/{NAME}/Wait":
            return grpc.unary_unary_rpc_method_handler(self._wait)
        return None

    async def _echo(self, request: bytes, _context: object) -> bytes:
        return request

    async def _wait(self, request: bytes, _context: object) -> bytes:
        self.entered.set()
        await self.let_go.wait()
        return request


async def echo(channel: grpc.aio.Channel, request: bytes, method: str = "Echo") -> bytes:
    call = channel.unary_unary(f"/{NAME}/{method}", request_serializer=bytes, response_deserializer=bytes)
    return await call(request, timeout=PATIENCE_SEC)


async def is_serving(channel: grpc.aio.Channel, name: str) -> bool:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    response = await check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_SEC)
    return response.status == SERVING


class Running(NamedTuple):
    server: GrpcServer
    echo: Echo
    address: str
    channel: grpc.aio.Channel


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """A started server in plain text, and a channel to it."""
    server, handler = GrpcServer("127.0.0.1", 0, None, [NAME]), Echo()
    server.server.add_generic_rpc_handlers((handler,))
    address = await server.start()
    async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        yield Running(server, handler, address, channel)
    await server.drain(0)


async def test_health_of_all_names(running: Running) -> None:
    """Not serving until the service says so; then "" and the service's name are told alike."""
    for serving in (False, True, False):
        await running.server.set_serving(serving)
        assert [await is_serving(running.channel, name) for name in ("", NAME)] == [serving, serving]


async def test_not_serving_at_first(running: Running) -> None:
    """A started server is not ready by itself."""
    assert not await is_serving(running.channel, "")


async def test_health_changes_keep_their_order(running: Running) -> None:
    """Changes that nobody awaits take effect in the order they were made."""
    for _ in range(10):
        running.server.set_serving(True)
        running.server.set_serving(False)
    await running.server.set_serving(True)
    assert await is_serving(running.channel, NAME)


async def test_reflection_names_the_services(running: Running) -> None:
    """Tools can ask what is there."""
    info = running.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    call = info(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=PATIENCE_SEC)
    names = {service.name async for response in call for service in response.list_services_response.service}
    assert {NAME, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} <= names


async def test_large_messages_pass_and_larger_ones_do_not(running: Running) -> None:
    """The limit is far above gRPC's own 4 MiB, both ways, and it is one."""
    large = bytes(16 * 1024 * 1024)
    assert await echo(running.channel, large) == large
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await echo(running.channel, bytes(MESSAGE_SIZE_LIMIT + 1))
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_options_can_be_overridden() -> None:
    """A service may choose another limit."""
    server = GrpcServer("127.0.0.1", 0, None, [NAME], [("grpc.max_receive_message_length", 100)])
    server.server.add_generic_rpc_handlers((Echo(),))
    address = await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        assert await echo(channel, bytes(100)) == bytes(100)
        with pytest.raises(grpc.aio.AioRpcError):
            await echo(channel, bytes(101))
    await server.drain(0)


async def test_draining_finishes_calls_and_takes_no_new_ones(running: Running) -> None:
    """A call in progress gets its answer; a new one is refused; health cannot come back."""
    watch = running.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )(health_pb2.HealthCheckRequest(service=NAME))
    await running.server.set_serving(True)
    statuses = aiter(watch)
    while (await anext(statuses)).status != SERVING:
        pass
    call = asyncio.ensure_future(echo(running.channel, b"x", "Wait"))
    await running.echo.entered.wait()
    drain = asyncio.create_task(running.server.drain(PATIENCE_SEC))
    assert (await anext(statuses)).status == NOT_SERVING
    watch.cancel()
    async with grpc.aio.insecure_channel(running.address) as late:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await echo(late, b"y")
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    running.server.set_serving(True)
    running.echo.let_go.set()
    assert await call == b"x"
    await drain


async def test_draining_ends_calls_that_take_too_long(running: Running) -> None:
    """The grace has an end."""
    call = asyncio.ensure_future(echo(running.channel, b"x", "Wait"))
    await running.echo.entered.wait()
    await running.server.drain(0.05)
    with pytest.raises(grpc.aio.AioRpcError):
        await call


async def test_a_taken_port_is_refused(running: Running) -> None:
    """Two servers never share a port by accident."""
    second = GrpcServer("127.0.0.1", int(running.address.rpartition(":")[2]), None, [NAME])
    with pytest.raises(ConfigurationError, match=f"cannot listen on {running.address}"):
        await second.start()


async def test_ipv6() -> None:
    """An IPv6 host is written in brackets."""
    server = GrpcServer("::1", 0, None, [NAME])
    try:
        address = await server.start()
    except ConfigurationError:
        pytest.skip("this machine has no IPv6 loopback: enable it to run this test")
    assert address.startswith("[::1]:")
    async with grpc.aio.insecure_channel(address) as channel:
        assert not await is_serving(channel, "")
    await server.drain(0)


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._certificate(self._name, self._key.public_key(), is_authority=True)
        self.file = str(folder / f"{name}.pem")
        Path(self.file).write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str) -> tuple[str, str]:
        """Files of a certificate for 127.0.0.1 and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate_file.write_bytes(self._certificate(subject, key.public_key(), False).public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(certificate_file), str(key_file)

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, is_authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number(), now - day, now + day)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(names, critical=False)
            .sign(self._key, SHA256())
        )


def settings(certificate: str = "", key: str = "", authority: str = "") -> ServiceSettings:
    return ServiceSettings(grpc_tls_cert_file=certificate, grpc_tls_key_file=key, grpc_tls_ca_file=authority)


async def can_call(address: str, client: ServiceSettings) -> bool:
    credentials = tls.channel_credentials(client)
    if credentials is None:
        channel = grpc.aio.insecure_channel(address)
    else:
        channel = grpc.aio.secure_channel(address, credentials)
    async with channel:
        try:
            await is_serving(channel, "")
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return False
    return True


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


async def test_tls(authority: Authority, tmp_path: Path) -> None:
    """With certificate and key only clients that trust the authority, and no plain-text ones, get through."""
    server_files = authority.issue("server")
    server = GrpcServer("127.0.0.1", 0, tls.server_credentials(settings(*server_files)), [NAME])
    address = await server.start()
    assert await can_call(address, settings(authority=authority.file))
    assert not await can_call(address, settings(authority=Authority(tmp_path, "stranger").file))
    assert not await can_call(address, settings())
    await server.drain(0)


async def test_mutual_tls(authority: Authority, tmp_path: Path) -> None:
    """With an authority on the server, clients must show a certificate of it."""
    server_files, client_files = authority.issue("server"), authority.issue("client")
    stranger_files = Authority(tmp_path, "stranger").issue("strange-client")
    server = GrpcServer("127.0.0.1", 0, tls.server_credentials(settings(*server_files, authority.file)), [NAME])
    address = await server.start()
    assert await can_call(address, settings(*client_files, authority.file))
    assert not await can_call(address, settings(authority=authority.file))
    assert not await can_call(address, settings(*stranger_files, authority.file))
    await server.drain(0)


def test_no_files_no_tls() -> None:
    """All three empty: plain text."""
    assert tls.server_credentials(settings()) is None
    assert tls.channel_credentials(settings()) is None


def test_incomplete_files(authority: Authority, tmp_path: Path) -> None:
    """Half a configuration is refused, naming the variables; never plain text by mistake."""
    certificate, key = authority.issue("server")
    for half in (settings(certificate=certificate), settings(key=key)):
        for make in (tls.server_credentials, tls.channel_credentials):
            with pytest.raises(ConfigurationError, match="KAFKA_WS_GRPC_TLS_CERT_FILE, KAFKA_WS_GRPC_TLS_KEY_FILE"):
                make(half)
    with pytest.raises(ConfigurationError, match="KAFKA_WS_GRPC_TLS_CERT_FILE"):
        tls.server_credentials(settings(authority=authority.file))
    (tmp_path / "text").write_text("hello")
    for path in (tmp_path / "missing", tmp_path / "text"):
        with pytest.raises(ConfigurationError, match="KAFKA_WS_GRPC_TLS_CA_FILE"):
            tls.channel_credentials(settings(authority=str(path)))


async def test_a_key_of_another_certificate(authority: Authority) -> None:
    """A pair that does not fit is found at start."""
    certificate, _ = authority.issue("one")
    _, key = authority.issue("other")
    server = GrpcServer("127.0.0.1", 0, tls.server_credentials(settings(certificate, key)), [NAME])
    with pytest.raises(ConfigurationError, match="cannot listen"):
        await server.start()
