"""Whatever a producer does: large records, every compression, transactions, compaction. Over the whole path."""

import asyncio
import json
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.conftest import CreateTopic
from tests.edge.event_stream import Event, EventStream
from tests.end_to_end.test_events import events_of
from tests.end_to_end.test_positions import numbered, numbers, records_of, rest
from tests.kafka.cluster import KafkaCluster
from tests.kafka.compaction import compacted_topic
from tests.kafka.records import RecordWriter
from tests.stack.client import Client, CloseEvent
