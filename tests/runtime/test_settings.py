"""The settings base: variables to values, wrong values to sentences, secrets never shown."""

import os
from pathlib import Path
from typing import Literal, Self

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from runtime.settings import EX_CONFIG, CommaList, ConfigurationError, ListenPort, Port, ServiceSettings, load


class ExampleSettings(ServiceSettings):
    """One field of each kind."""

    peer_port: Port = 6379
    listen_port: ListenPort = 0
    names: CommaList = ()
    enabled: bool = False
    ratio: float = Field(default=0.5, gt=0, lt=1)
    count: int | None = Field(default=None, ge=1)
    mode: Literal["fast", "safe"] = "safe"
    host: str = Field(default="localhost", min_length=1)
    password: SecretStr | None = None
    long_secret: SecretStr | None = Field(default=None, min_length=8)

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str) -> str:
        if " " in host:
            raise ValueError("a host has no blanks")
        return host

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.enabled and self.password is None:
            raise ValueError("KAFKA_WS_PASSWORD: must be set when KAFKA_WS_ENABLED is true.")
        return self


class RequiringSettings(ServiceSettings):
    """A field without a default."""

    address: str


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("KAFKA_WS_"):
            monkeypatch.delenv(name)


def refusal(settings_class: type[ServiceSettings], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as raised:
        load(settings_class)
    assert raised.value.code == EX_CONFIG
    return capsys.readouterr().err


def test_defaults() -> None:
    """Without any variable the documented defaults hold."""
    settings = load(ServiceSettings)
    assert (settings.log_level, settings.log_format) == ("info", "json")
    assert (settings.metrics_host, settings.metrics_port) == ("127.0.0.1", 0)
    assert settings.grpc_tls_cert_file == settings.grpc_tls_key_file == settings.grpc_tls_ca_file == ""
    assert settings.shutdown_grace_sec == 10


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field is the variable of its name with the prefix."""
    for name, value in {"PEER_PORT": "1", "ENABLED": "true", "NAMES": " a, b,,c ", "PASSWORD": "p"}.items():
        monkeypatch.setenv(f"KAFKA_WS_{name}", value)
    settings = load(ExampleSettings)
    assert (settings.peer_port, settings.enabled, settings.names) == (1, True, ("a", "b", "c"))
    assert settings.password == SecretStr("p")


def test_empty_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates of deployments leave variables empty."""
    monkeypatch.setenv("KAFKA_WS_PEER_PORT", "")
    monkeypatch.setenv("KAFKA_WS_PASSWORD", "")
    monkeypatch.setenv("KAFKA_WS_PASSWORD_FILE", "")
    settings = load(ExampleSettings)
    assert (settings.peer_port, settings.password) == (6379, None)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PEER_PORT", "abc", "'abc' is not a whole number between 1 and 65535."),
        ("PEER_PORT", "0", "'0' is not a whole number between 1 and 65535."),
        ("LISTEN_PORT", "65536", "'65536' is not a whole number between 0 and 65535."),
        ("ENABLED", "2", "'2' is not true or false."),
        ("RATIO", "1", "'1' is not a number above 0 below 1."),
        ("RATIO", "nan", "'nan' is not a number above 0 below 1."),
        ("COUNT", "-1", "'-1' is not a whole number of at least 1."),
        ("MODE", "slow", "'slow' is not one of fast, safe."),
        ("HOST", "a b", "a host has no blanks."),
        ("LOG_LEVEL", "loud", "'loud' is not one of debug, info, warning, error, critical."),
        ("SHUTDOWN_GRACE_SEC", "-1", "'-1' is not a number between 0 and 3600."),
    ],
)
def test_a_wrong_value_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, sentence: str
) -> None:
    """The sentence names the variable, shows the value, and says what it has to be."""
    monkeypatch.setenv(f"KAFKA_WS_{name}", value)
    assert refusal(ExampleSettings, capsys) == f"KAFKA_WS_{name}: {sentence}\n"


def test_every_wrong_value_gets_its_own_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All faults are told at once, one a line."""
    monkeypatch.setenv("KAFKA_WS_PEER_PORT", "x")
    monkeypatch.setenv("KAFKA_WS_MODE", "y")
    assert [line.split(":")[0] for line in refusal(ExampleSettings, capsys).splitlines()] == [
        "KAFKA_WS_PEER_PORT",
        "KAFKA_WS_MODE",
    ]


def test_a_missing_value(capsys: pytest.CaptureFixture[str]) -> None:
    """What has no default must be set."""
    assert refusal(RequiringSettings, capsys) == "KAFKA_WS_ADDRESS: must be set.\n"


def test_rules_over_several_variables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A validator of the whole speaks for itself."""
    monkeypatch.setenv("KAFKA_WS_ENABLED", "true")
    assert refusal(ExampleSettings, capsys) == "KAFKA_WS_PASSWORD: must be set when KAFKA_WS_ENABLED is true.\n"


def test_long_values_are_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A file pasted into a variable does not fill the terminal."""
    monkeypatch.setenv("KAFKA_WS_PEER_PORT", "x" * 10_000)
    assert len(refusal(ExampleSettings, capsys)) < 200


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence about a secret is without the secret; so is the error's own text."""
    monkeypatch.setenv("KAFKA_WS_LONG_SECRET", "s3cret")
    said = refusal(ExampleSettings, capsys)
    assert said == "KAFKA_WS_LONG_SECRET: the value is not a text of at least 8 characters.\n"
    with pytest.raises(ValidationError) as raised:
        ExampleSettings()
    assert "s3cret" not in str(raised.value)


def test_a_good_secret_is_not_shown() -> None:
    """Printing the settings shows no secret."""
    assert "s3cret" not in repr(ExampleSettings(password=SecretStr("s3cret")))


def test_a_secret_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`<VARIABLE>_FILE` names a file; line breaks at its end are not part of the secret, blanks are."""
    (tmp_path / "password").write_text(" p w \r\n\n")
    monkeypatch.setenv("KAFKA_WS_PASSWORD_FILE", str(tmp_path / "password"))
    assert load(ExampleSettings).password == SecretStr(" p w ")


def test_only_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For other fields `_FILE` means nothing."""
    (tmp_path / "host").write_text("elsewhere")
    monkeypatch.setenv("KAFKA_WS_HOST_FILE", str(tmp_path / "host"))
    assert load(ExampleSettings).host == "localhost"


def test_bad_secret_files(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A file that is missing, empty or not text is told by the variable that named it."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, expected in {
        "missing": "No such file or directory.",
        "empty": "is empty.",
        "binary": "does not hold UTF-8 text.",
    }.items():
        monkeypatch.setenv("KAFKA_WS_PASSWORD_FILE", str(tmp_path / name))
        said = refusal(ExampleSettings, capsys)
        assert said.startswith("KAFKA_WS_PASSWORD_FILE: ")
        assert said.endswith(expected + "\n")


def test_a_secret_and_its_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Which of two secrets is meant is not guessed."""
    (tmp_path / "password").write_text("p")
    monkeypatch.setenv("KAFKA_WS_PASSWORD", "q")
    monkeypatch.setenv("KAFKA_WS_PASSWORD_FILE", str(tmp_path / "password"))
    said = refusal(ExampleSettings, capsys)
    assert said == "KAFKA_WS_PASSWORD: set either this or KAFKA_WS_PASSWORD_FILE, not both.\n"


def test_settings_do_not_change() -> None:
    """What was checked at start stays as it was."""
    with pytest.raises(ValidationError):
        load(ServiceSettings).metrics_port = 1


def test_an_error_of_several_sentences_reads_as_lines() -> None:
    """The text of the error is what the operator reads."""
    assert str(ConfigurationError("A: a.", "B: b.")) == "A: a.\nB: b."


env_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(port=env_text, secret=env_text)
def test_any_text_is_a_value_or_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, port: str, secret: str
) -> None:
    """No value makes the service start with a traceback, or with a wrong port."""
    monkeypatch.setenv("KAFKA_WS_PEER_PORT", port)
    monkeypatch.setenv("KAFKA_WS_PASSWORD", secret)
    try:
        outcome = f"{1 <= load(ExampleSettings).peer_port <= 65535}"
    except SystemExit:
        outcome = capsys.readouterr().err.split(":")[0]
    assert outcome in ("True", "KAFKA_WS_PEER_PORT")
