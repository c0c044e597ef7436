"""Settings of the filter service: described, checked, and wrong ones named, in process and as a process."""

import os
from pathlib import Path

import pytest

from filter_service.config import FilterSettings, librdkafka_properties, property_error
from runtime.settings import EX_CONFIG, ConfigurationError, load
from tests.filter_service.service import PATIENCE_SEC, service_process
from tests.processes import free_port


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("KAFKA_WS_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("name", FilterSettings.model_fields)
def test_every_setting_is_described(name: str) -> None:
    """A sentence for the operator, and a default: the service starts without any variable."""
    field = FilterSettings.model_fields[name]
    assert field.description
    assert field.description.endswith(".")
    assert not field.is_required()


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("FILTER_GRPC_PORT", "-1", "'-1' is not a whole number between 0 and 65535."),
        ("FILTER_BATCH_RECORDS", "0", "'0' is not a whole number between 1 and 100000."),
        ("FILTER_BATCH_RECORDS", "2e3", "'2e3' is not a whole number between 1 and 100000."),
        ("FILTER_OUTBOX_BYTES", "32MB", "'32MB' is not a whole number of at least 1024."),
        ("FILTER_REPLAY_BYTES", "-1", "'-1' is not a whole number of at least 0."),
        ("FILTER_CATCH_UP_READERS", "65", "'65' is not a whole number between 1 and 64."),
        ("FILTER_MAX_SUBSCRIPTIONS", "0", "'0' is not a whole number of at least 1."),
        ("FILTER_MAX_QUERY_LENGTH", "many", "'many' is not a whole number of at least 1."),
        ("FILTER_METADATA_INTERVAL_SEC", "0", "'0' is not a number above 0."),
        ("FILTER_MISSING_TOPIC_INTERVAL_SEC", "nan", "'nan' is not a number above 0."),
        ("FILTER_KAFKA_TIMEOUT_SEC", "inf", "'inf' is not a number above 0."),
        ("FILTER_PROGRESS_INTERVAL_SEC", "1s", "'1s' is not a number above 0."),
        ("CONSUMER_METADATA_BROKER_LIST", "kafka:abc", "'kafka:abc' is not host:port."),
        ("CONSUMER_METADATA_BROKER_LIST", "a:1,,b:2", "'' is not host:port."),
        ("CONSUMER_METADATA_BROKER_LIST", "a:1, b:0", "'b:0' is not host:port."),
        ("CONSUMER_METADATA_BROKER_LIST", "a:65536", "'a:65536' is not host:port."),
        ("CONSUMER_METADATA_BROKER_LIST", "a/b:9092", "'a/b:9092' is not host:port."),
    ],
)
def test_wrong_values_name_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, expected: str
) -> None:
    """A wrong value stops the service with one sentence that names the variable and says what it must be."""
    monkeypatch.setenv(f"KAFKA_WS_{variable}", value)
    with pytest.raises(SystemExit) as raised:
        load(FilterSettings)
    assert raised.value.code == EX_CONFIG
    assert capsys.readouterr().err == f"KAFKA_WS_{variable}: {expected}\n"


@pytest.mark.parametrize(
    "brokers", ["kafka:9092", "kafka", "a:1, b:2", "10.0.0.1:9092,[::1]:9092", "SASL_SSL://kafka.example:9093"]
)
def test_brokers_as_librdkafka_takes_them(monkeypatch: pytest.MonkeyPatch, brokers: str) -> None:
    """One or several, by name or address, with or without port and protocol."""
    monkeypatch.setenv("KAFKA_WS_CONSUMER_METADATA_BROKER_LIST", brokers)
    assert load(FilterSettings).consumer_metadata_broker_list == brokers


def test_librdkafka_properties_pass_through(tmp_path: Path) -> None:
    """`KAFKA_WS_CONSUMER_<PROPERTY>` is the property, underscores for dots; empty variables and others don't count."""
    secret = tmp_path / "secret"
    secret.write_text("p w\n")
    assert librdkafka_properties(
        {
            "KAFKA_WS_CONSUMER_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_WS_CONSUMER_SASL_PASSWORD_FILE": str(secret),
            "KAFKA_WS_CONSUMER_SASL_OAUTHBEARER_ASSERTION_FILE": "/read/by/librdkafka",
            "KAFKA_WS_CONSUMER_LOG_LEVEL": "3",
            "KAFKA_WS_CONSUMER_SASL_USERNAME": "",
            "KAFKA_WS_CONSUMER_METADATA_BROKER_LIST": "kafka:9092",
            "KAFKA_WS_CONSUMER_BOOTSTRAP_SERVERS": "other:9092",
            "KAFKA_WS_FILTER_GRPC_PORT": "1",
            "SASL_MECHANISM": "PLAIN",
        }
    ) == {
        "security.protocol": "SASL_SSL",
        "sasl.password": "p w",
        "sasl.oauthbearer.assertion.file": "/read/by/librdkafka",
        "log_level": "3",
    }


def test_files_that_hold_no_value(tmp_path: Path) -> None:
    """A file that is missing, empty or no text, or a second source of one value, is told by the variable's name."""
    variable = "KAFKA_WS_CONSUMER_SASL_PASSWORD_FILE"
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, problem in (
        ("missing", f"{variable}: cannot read '{tmp_path}/missing': No such file or directory."),
        ("empty", f"{variable}: '{tmp_path}/empty' is empty."),
        ("binary", f"{variable}: '{tmp_path}/binary' does not hold UTF-8 text."),
    ):
        with pytest.raises(ConfigurationError) as raised:
            librdkafka_properties({variable: str(tmp_path / name)})
        assert str(raised.value) == problem
    with pytest.raises(ConfigurationError) as raised:
        librdkafka_properties({variable: str(tmp_path / "empty"), "KAFKA_WS_CONSUMER_SASL_PASSWORD": "x"})
    assert str(raised.value) == f"KAFKA_WS_CONSUMER_SASL_PASSWORD: set either this or {variable}, not both."


@pytest.mark.parametrize(
    ("given", "problem", "expected"),
    [
        ("foo.bar", 'No such configuration property: "foo.bar"', "KAFKA_WS_CONSUMER_FOO_BAR"),
        ("fetch.max.bytes", "`fetch.max.bytes` must be >= `message.max.bytes`", "KAFKA_WS_CONSUMER_FETCH_MAX_BYTES"),
        (
            "sasl.mechanisms",
            "Failed to create consumer: sasl.username and sasl.password must be set",
            "KAFKA_WS_CONSUMER_SASL_USERNAME, KAFKA_WS_CONSUMER_SASL_PASSWORD",
        ),
        ("plugin.library.paths", "dlopen() failed: /x.so: cannot open (plugin /x.so)", "KAFKA_WS_CONSUMER_*"),
    ],
)
def test_what_librdkafka_refuses(given: str, problem: str, expected: str) -> None:
    """Its words are kept, and the variables found in them come first."""
    assert str(property_error({given: "x"}, problem)) == f"{expected}: {problem}."


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"KAFKA_WS_FILTER_GRPC_PORT": "abc"}, "KAFKA_WS_FILTER_GRPC_PORT: 'abc' is not a whole number"),
        ({"KAFKA_WS_CONSUMER_METADATA_BROKER_LIST": "a b:1"}, "KAFKA_WS_CONSUMER_METADATA_BROKER_LIST: 'a b:1' is not"),
        ({"KAFKA_WS_CONSUMER_FOO_BAR": "1"}, 'KAFKA_WS_CONSUMER_FOO_BAR: No such configuration property: "foo.bar".'),
        (
            {"KAFKA_WS_CONSUMER_FETCH_WAIT_MAX_MS": "abc"},
            'KAFKA_WS_CONSUMER_FETCH_WAIT_MAX_MS: Invalid value for configuration property "fetch.wait.max.ms".',
        ),
        (
            {"KAFKA_WS_CONSUMER_SECURITY_PROTOCOL": "nope"},
            'KAFKA_WS_CONSUMER_SECURITY_PROTOCOL: Invalid value "nope"',
        ),
        (
            {"KAFKA_WS_CONSUMER_SASL_PASSWORD_FILE": "/nonexistent"},
            "KAFKA_WS_CONSUMER_SASL_PASSWORD_FILE: cannot read '/nonexistent'",
        ),
        ({"KAFKA_WS_FILTER_GRPC_HOST": "no.such.host.invalid"}, "cannot listen on no.such.host.invalid:"),
        ({"KAFKA_WS_METRICS_HOST": "192.0.2.1", "KAFKA_WS_METRICS_PORT": "{free}"}, "KAFKA_WS_METRICS_PORT: cannot"),
        ({"KAFKA_WS_GRPC_TLS_CERT_FILE": "/nonexistent"}, "KAFKA_WS_GRPC_TLS_CERT_FILE, KAFKA_WS_GRPC_TLS_KEY_FILE:"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_settings_end_the_process(tmp_path: Path, settings: dict[str, str], expected: str) -> None:
    """The process exits with 78 and a sentence that names the variable, not a traceback."""
    filled = {name: value.format(free=free_port()) for name, value in settings.items()}
    process = service_process({"KAFKA_WS_FILTER_GRPC_PORT": "0", **filled}, tmp_path / "log")
    process.start()
    assert process.wait(PATIENCE_SEC) == EX_CONFIG
    assert expected in process.log()
    assert "Traceback" not in process.log()


def test_a_setting_without_effect_is_told(tmp_path: Path) -> None:
    """What would break the promises is not taken over, and the log says so."""
    settings = {"KAFKA_WS_CONSUMER_AUTO_OFFSET_RESET": "earliest", "KAFKA_WS_FILTER_KAFKA_TIMEOUT_SEC": "0.1"}
    process = service_process(
        {"KAFKA_WS_FILTER_GRPC_PORT": "0", "KAFKA_WS_CONSUMER_METADATA_BROKER_LIST": "127.0.0.1:1", **settings},
        tmp_path / "log",
    )
    process.start()
    process.wait_ready(lambda: '"event": "listening"' in process.log(), PATIENCE_SEC)
    assert '"variable": "KAFKA_WS_CONSUMER_AUTO_OFFSET_RESET"' in process.log()
    assert process.stop() == 0
