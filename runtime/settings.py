"""Settings base: environment variables `KAFKA_WS_*` to a typed, frozen object, or a sentence per wrong variable.

Every service derives its settings from `ServiceSettings` and obtains them once at start, on the main thread, with
`load`. Fields of type `SecretStr` may also come from a file named by `<VARIABLE>_FILE`. An empty variable counts as
not set. No sentence ever holds the value of a secret.
"""

import math
import os
import sys
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import annotated_types
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "KAFKA_WS_"
EX_CONFIG = 78
"""Exit status of a service that is configured wrongly (BSD sysexits.h)."""

_SHOWN_VALUE_LIMIT = 80
_SECRET_FILE_LIMIT = 1 << 20
"""Bytes; a key set or a chain of certificates fits, a device file given by mistake does not fill the memory."""


class ConfigurationError(Exception):
    """The service cannot run as configured.

    Attributes:
        sentences: one sentence per fault, each naming the environment variable to change.
    """

    def __init__(self, *sentences: str) -> None:
        """Takes the sentences."""
        super().__init__(*sentences)
        self.sentences = sentences

    def __str__(self) -> str:
        """The sentences, one a line."""
        return "\n".join(self.sentences)


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
"""TCP port of a peer."""
ListenPort = Annotated[int, Field(ge=0, le=65535)]
"""TCP port to listen on; 0 takes any free one."""
CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
"""Texts separated by commas; blanks around them and empty ones are dropped."""


class _SecretFiles(PydanticBaseSettingsSource):
    """Values of `SecretStr` fields from the files that `<VARIABLE>_FILE` name."""

    def __init__(self, settings_class: type[BaseSettings], environment: Mapping[str, str]) -> None:
        super().__init__(settings_class)
        self._environment = environment

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = variable_name(field_name)
        path = self._environment.get(f"{variable}_FILE", "") if is_secret(field) else ""
        if not path:
            return None, field_name, False
        if self._environment.get(variable):
            raise ConfigurationError(f"{variable}: set either this or {variable}_FILE, not both.")
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read(_SECRET_FILE_LIMIT)
        except OSError as error:
            raise ConfigurationError(f"{variable}_FILE: cannot read {path!r}: {error.strerror}.") from None
        except ValueError:
            raise ConfigurationError(f"{variable}_FILE: {path!r} does not hold UTF-8 text.") from None
        text = text.rstrip("\r\n")
        if not text:
            raise ConfigurationError(f"{variable}_FILE: {path!r} is empty.")
        return text, field_name, False

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class ServiceSettings(BaseSettings):
    """What every service can be told. A field `x_y` is the environment variable `KAFKA_WS_X_Y`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        default="info", description="Least severe level that is logged."
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="One JSON object per line, or coloured text."
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address of the Prometheus endpoint.")
    metrics_port: ListenPort = Field(default=0, description="Port of the Prometheus endpoint; 0: no endpoint.")
    grpc_tls_cert_file: str = Field(default="", description="PEM certificate chain for gRPC; empty: plain text.")
    grpc_tls_key_file: str = Field(default="", description="PEM private key of that certificate.")
    grpc_tls_ca_file: str = Field(
        default="",
        description="PEM certificates that peers are checked against; on a server, clients must present one.",
    )
    shutdown_grace_sec: float = Field(
        default=10.0, ge=0, le=3600, description="Seconds that calls in progress may take to finish after SIGTERM."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Sources in order of precedence: constructor arguments, variables, files named by variables."""
        return init_settings, env_settings, _SecretFiles(settings_cls, os.environ)


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def load(settings_class: type[SettingsT]) -> SettingsT:
    """Reads the settings from the environment; ends the process when they are wrong.

    Prints one sentence per fault to stderr and exits with `EX_CONFIG`.
    """
    try:
        return settings_class()
    except ValidationError as error:
        refuse(*(sentence(settings_class, details) for details in error.errors(include_url=False)))
    except ConfigurationError as error:
        refuse(*error.sentences)


def refuse(*sentences: str) -> NoReturn:
    """Prints the sentences to stderr, one a line, and exits with `EX_CONFIG`."""
    for line in sentences:
        print(line, file=sys.stderr, flush=True)
    raise SystemExit(EX_CONFIG)


def variable_name(field_name: str) -> str:
    """The environment variable of a settings field."""
    return PREFIX + field_name.upper()


def is_secret(field: FieldInfo) -> bool:
    """Whether a field's value must never be shown."""
    annotation = field.annotation
    return annotation is SecretStr or SecretStr in typing.get_args(annotation)


def sentence(settings_class: type[BaseSettings], details: ErrorDetails) -> str:
    """One pydantic error as a sentence for the operator, e.g.
    `KAFKA_WS_REDIS_PORT: 'abc' is not a whole number between 1 and 65535.`

    Errors of validators (`ValueError`) give their own text; those of a whole-model validator have to name the
    variables themselves, since they belong to none.
    """
    message = str(details.get("ctx", {}).get("error", "")) or details["msg"]
    if not details["loc"]:
        return _finish(message)
    name = str(details["loc"][0])
    field = settings_class.model_fields.get(name)
    variable = variable_name(name)
    if field is None:
        return f"{variable}: there is no such setting."
    if details["type"] == "missing":
        return f"{variable}: must be set."
    if details["type"] in ("value_error", "assertion_error"):
        return _finish(f"{variable}: {message}")
    shown = "the value" if is_secret(field) else _shown(details["input"])
    return f"{variable}: {shown} is not {expectation(field)}."


def expectation(field: FieldInfo) -> str:
    """What a field's value has to be, in words that fit after "is not"."""
    annotation = field.annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next((part for part in typing.get_args(annotation) if part is not type(None)), annotation)
    if typing.get_origin(annotation) is Literal:
        choices = [str(choice) for choice in typing.get_args(annotation)]
        return "one of " + ", ".join(choices)
    if annotation is bool:
        return "true or false"
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _range(field.metadata)
    if annotation in (str, SecretStr):
        return "a text" + _length(field.metadata)
    return "valid"


def _range(metadata: list[Any]) -> str:
    low, high = -math.inf, math.inf
    words = []
    for item in metadata:
        if isinstance(item, annotated_types.Ge) and isinstance(item.ge, int | float):
            low = item.ge
        elif isinstance(item, annotated_types.Le) and isinstance(item.le, int | float):
            high = item.le
        elif isinstance(item, annotated_types.Gt):
            words.append(f"above {item.gt}")
        elif isinstance(item, annotated_types.Lt):
            words.append(f"below {item.lt}")
    if low > -math.inf and high < math.inf:
        words.insert(0, f"between {low} and {high}")
    elif low > -math.inf:
        words.insert(0, f"of at least {low}")
    elif high < math.inf:
        words.insert(0, f"of at most {high}")
    return "".join(f" {word}" for word in words)


def _length(metadata: list[Any]) -> str:
    for item in metadata:
        if isinstance(item, annotated_types.MinLen):
            return f" of at least {item.min_length} character{'s' if item.min_length > 1 else ''}"
    return " of the right form"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_VALUE_LIMIT else text[:_SHOWN_VALUE_LIMIT] + "…"


def _finish(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."
