"""Settings: what must be configured, and the sentence that a wrong value gets."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from runtime.settings import EX_CONFIG, ConfigurationError, load
from tests.ticket_service.issuer import SECRET, public_pem
from ticket_service.config import TicketServiceSettings
from ticket_service.store import connect

GRANT_SECRET = "g" * 32


def refusal(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: dict[str, str]) -> str:
    """What the service says on stderr before it exits."""
    for name, value in settings.items():
        environment.setenv(name, value)
    with pytest.raises(SystemExit) as raised:
        load(TicketServiceSettings)
    assert raised.value.code == EX_CONFIG
    return capsys.readouterr().err


def loaded(environment: pytest.MonkeyPatch, **settings: str) -> TicketServiceSettings:
    for name, value in settings.items():
        environment.setenv(name, value)
    return load(TicketServiceSettings)


def test_no_way_to_verify(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no default secret: without a way to verify, the service names the variables that give one."""
    said = refusal(environment, capsys, {"KAFKA_WS_TICKET_GRANT_SECRET": GRANT_SECRET})
    for variable in (
        "KAFKA_WS_TOKEN_HS256_SECRET",
        "KAFKA_WS_TOKEN_PUBLIC_KEY",
        "KAFKA_WS_TOKEN_JWKS_URL",
        "KAFKA_WS_TOKEN_TRUST_GATEWAY",
    ):
        assert variable in said
    assert len(said.splitlines()) == 1


def test_empty_is_not_configured(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A variable that is set to nothing counts as not set."""
    said = refusal(environment, capsys, {"KAFKA_WS_TOKEN_HS256_SECRET": "", "KAFKA_WS_TOKEN_JWKS_URL": ""})
    assert "there is no way to verify tokens" in said


@pytest.mark.parametrize(
    "settings",
    [
        {"KAFKA_WS_TOKEN_PUBLIC_KEY": "x"},
        {"KAFKA_WS_TOKEN_JWKS_URL": "https://issuer.example/keys"},
        {"KAFKA_WS_TOKEN_TRUST_GATEWAY": "true"},
    ],
)
def test_grants_need_a_secret(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: dict[str, str]
) -> None:
    """Where there is no shared secret to derive it from, the grants' secret must be given."""
    assert refusal(environment, capsys, settings).startswith("KAFKA_WS_TICKET_GRANT_SECRET: must be set")


def test_trust_and_verification_exclude_each_other(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether tokens are verified is not left to guessing."""
    settings = {"KAFKA_WS_TOKEN_TRUST_GATEWAY": "true", "KAFKA_WS_TOKEN_HS256_SECRET": SECRET}
    said = refusal(environment, capsys, settings)
    assert "KAFKA_WS_TOKEN_TRUST_GATEWAY" in said
    assert "KAFKA_WS_TOKEN_HS256_SECRET" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("REDIS_PORT", "abc", "'abc' is not a whole number between 1 and 65535."),
        ("REDIS_PORT", "0", "'0' is not a whole number between 1 and 65535."),
        ("REDIS_PORT", "70000", "'70000' is not a whole number between 1 and 65535."),
        ("REDIS_DATABASE", "-1", "'-1' is not a whole number of at least 0."),
        ("REDIS_TLS", "maybe", "'maybe' is not true or false."),
        ("REDIS_TIMEOUT_SEC", "0", "'0' is not a number of at most 60 above 0."),
        ("TICKET_GRPC_PORT", "-1", "'-1' is not a whole number between 0 and 65535."),
        ("TICKET_EXPIRATION_SEC", "0", "'0' is not a whole number between 1 and 86400."),
        ("TICKET_EXPIRATION_SEC", "1.5", "'1.5' is not a whole number between 1 and 86400."),
        ("TICKET_EXPIRATION_SEC", "60s", "'60s' is not a whole number between 1 and 86400."),
        ("RESUME_MAX_SEC", "0", "'0' is not a whole number between 1 and 2592000."),
        ("TOKEN_TRUST_GATEWAY", "perhaps", "'perhaps' is not true or false."),
        ("TOKEN_JWKS_URL", "file:///keys", "must be a URL that begins with https:// or http://."),
        ("TOKEN_JWKS_URL", "https://", "must be a URL that begins with https:// or http://."),
        ("TOKEN_JWKS_URL", "https://a:b/", "not a URL."),
        ("TOKEN_JWKS_URL", "https://u:p4ss@a/", "must not hold a user name or password."),
        ("TOKEN_JWKS_STALE_SEC", "nan", "'nan' is not a number between 1 and 604800."),
    ],
)
def test_wrong_values_name_the_variable(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, expected: str
) -> None:
    """A wrong value stops the service with one sentence that names the variable and says what it must be."""
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, f"KAFKA_WS_{variable}": value}
    assert refusal(environment, capsys, settings) == f"KAFKA_WS_{variable}: {expected}\n"


def test_unknown_algorithms(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`none` and misspelt algorithms cannot be pinned."""
    for value in ("none", "HS256,rs256"):
        settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_TOKEN_ALGORITHMS": value}
        said = refusal(environment, capsys, settings)
        assert said.startswith(f"KAFKA_WS_TOKEN_ALGORITHMS: '{value.split(',')[-1]}' is not one of ES256,")


@pytest.mark.parametrize(("algorithms", "said"), [("HS256,RS256", "no key"), ("RS256", "leaves no algorithm")])
def test_pinned_algorithms_must_fit_the_keys(environment: pytest.MonkeyPatch, algorithms: str, said: str) -> None:
    """An algorithm without a key, or a key without an algorithm, is a mistake."""
    config = loaded(environment, KAFKA_WS_TOKEN_HS256_SECRET=SECRET, KAFKA_WS_TOKEN_ALGORITHMS=algorithms)
    with pytest.raises(ConfigurationError, match="KAFKA_WS_TOKEN_ALGORITHMS") as raised:
        config.verification_keys()
    assert said in str(raised.value)


def test_several_ways_at_once(environment: pytest.MonkeyPatch) -> None:
    """Each key is for its own algorithms only."""
    config = loaded(environment, KAFKA_WS_TOKEN_HS256_SECRET=SECRET, KAFKA_WS_TOKEN_PUBLIC_KEY=public_pem("rsa"))
    assert [key.algorithms for key in config.verification_keys()] == [{"HS256"}, {"RS256"}]


@pytest.mark.parametrize("variable", ["KAFKA_WS_TOKEN_HS256_SECRET", "KAFKA_WS_TOKEN_PUBLIC_KEY"])
def test_unusable_keys_name_the_variable(environment: pytest.MonkeyPatch, variable: str) -> None:
    """A key in the wrong variable is refused at start."""
    value = public_pem("rsa") if variable.endswith("SECRET") else "s3cret-text"
    config = loaded(environment, **{variable: value, "KAFKA_WS_TICKET_GRANT_SECRET": GRANT_SECRET})
    with pytest.raises(ConfigurationError, match=f"^{variable}: ") as raised:
        config.verification_keys()
    assert "s3cret" not in str(raised.value)


def test_secrets_from_files(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Mounted secrets work; a line break at the end is not part of them."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "key").write_text(public_pem("ed"))
    config = loaded(
        environment,
        KAFKA_WS_TOKEN_HS256_SECRET_FILE=str(tmp_path / "secret"),
        KAFKA_WS_TOKEN_PUBLIC_KEY_FILE=str(tmp_path / "key"),
    )
    assert config.token_hs256_secret == SecretStr(SECRET)
    assert [key.algorithms for key in config.verification_keys()] == [{"HS256"}, {"EdDSA"}]


def test_the_grants_key_follows_the_secrets() -> None:
    """It is derived from the grants' secret, or else from the tokens'; the same on every replica."""
    of_tokens = TicketServiceSettings(token_hs256_secret=SecretStr(SECRET))
    of_grants = TicketServiceSettings(token_hs256_secret=SecretStr(SECRET), ticket_grant_secret=SecretStr(GRANT_SECRET))
    assert of_tokens.sealing_key() == TicketServiceSettings(token_hs256_secret=SecretStr(SECRET)).sealing_key()
    assert of_tokens.sealing_key() != of_grants.sealing_key()


def test_an_unreadable_file_of_certificates_for_redis(tmp_path: Path) -> None:
    """TLS to Redis with a wrong file is found at start, not at the first ticket."""
    (tmp_path / "ca.pem").write_text("hello")
    for path in (tmp_path / "missing.pem", tmp_path / "ca.pem"):
        config = TicketServiceSettings(
            token_hs256_secret=SecretStr(SECRET), redis_tls=True, redis_tls_ca_file=str(path)
        )
        with pytest.raises(ConfigurationError, match=r"^KAFKA_WS_REDIS_TLS_CA_FILE: "):
            connect(config)
