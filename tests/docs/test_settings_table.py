"""The table of settings in README.md is what the code says."""

from confluent_kafka import Consumer

from filter_service.config import librdkafka_properties
from tests.docs.page import blocks, section, text_of
from tests.docs.settings_table import settings, with_table


def test_the_table_is_fresh() -> None:
    """Somebody who changes a setting runs `make docs`."""
    page = text_of()
    assert page == with_table(page), "run 'make docs' and commit"


def test_every_setting_is_described() -> None:
    """Each has one row, and a description that is a sentence of its own."""
    found = list(settings())
    assert len(found) > 50
    assert len({variable for _, variable, _ in found}) == len(found)
    assert [variable for _, variable, field in found if not (field.description or "").endswith(".")] == []


def test_the_example_of_librdkafka_properties_is_accepted() -> None:
    """The variables shown for a Kafka with SASL and TLS are properties that librdkafka takes together."""
    (example,) = [block for block in blocks("sh", section("Settings", text_of())) if "SASL" in block]
    variables = dict(line.split("=", 1) for line in example.splitlines())
    password_file = variables.pop("KAFKA_WS_CONSUMER_SASL_PASSWORD_FILE")
    assert password_file.startswith("/")
    properties = librdkafka_properties({**variables, "KAFKA_WS_CONSUMER_SASL_PASSWORD": "secret"})
    assert properties["security.protocol"] == "sasl_ssl"
    Consumer({"group.id": "never joined", **properties}).close()
