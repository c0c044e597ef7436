"""Behaviour, section 4: how the query string is decoded, through the real tiers.

What became of a `where` shows in what passes it. Each test ends its records with one that always passes, so that a
record that does not is told apart from one that is late.
"""

import asyncio
import json
from typing import Any

import pytest

from tests.conftest import CreateTopic
from tests.kafka.records import RecordWriter
from tests.stack.client import Client, CloseEvent, Socket

INVALID = CloseEvent(4000, "invalid syntax")
END = {"name": "END"}


async def received(socket: Socket) -> list[Any]:
    """What arrives before the record that ends the test."""
    values = []
    while (value := await socket.value()) != END:
        values.append(value)
    return values


async def passes(client: Client, records: RecordWriter, topic: str, query: str, *names: str) -> list[str]:
    """Which of the names pass a query, asked for on the raw query string."""
    async with await client.connect(topic, query=query) as socket:
        values = [json.dumps({"name": name}).encode() for name in [*names, "END"]]
        await asyncio.to_thread(records.write_all, topic, values)
        return [value["name"] for value in await received(socket)]


@pytest.mark.parametrize("query", [None, "where", "where=", "where=&fields=", "fields", "Where=name=in:none;", "x=1"])
async def test_no_filter(client: Client, create_topic: CreateTopic, records: RecordWriter, query: str | None) -> None:
    """Absent, blank, or under another name: everything passes."""
    assert await passes(client, records, create_topic(), query or "", "one", "two") == ["one", "two"]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("a+b", "a b"),
        ("a%20b", "a b"),
        ("a%2Bb", "a+b"),
        ("a:b/c(d)*e", "a:b/c(d)*e"),
        ('"a;b,c"', "a;b,c"),
        ("a=b", "a=b"),
        ("a%26b", "a&b"),
        ("a%2541", "a%41"),
        ("a%zz", "a%zz"),
        ("50%25", "50%"),
        ("50%", "50%"),
        ("a%E9", "a%E9"),
        ("%C3%A9", "é"),
        ("a?b", "a?b"),
        ("a]=b", "a]=b"),
    ],
)
async def test_values(client: Client, create_topic: CreateTopic, records: RecordWriter, raw: str, name: str) -> None:
    """A raw value means exactly its text: that passes the filter, and another does not."""
    query = f"where=name=in:{raw},END;"
    assert await passes(client, records, create_topic(), query, name, "another") == [name]


async def test_raw_bracket_in_a_name(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """`where=a[0]=1;` is a filter on the member `a[0]`, not a list that is dropped."""
    name = create_topic()
    async with await client.connect(name, query="where=a[0]=1;") as socket:
        await asyncio.to_thread(records.write_all, name, [b'{"a[0]":2}', b'{"b":1}', b'{"a[0]":1}'])
        assert await socket.value() == {"a[0]": 1}


async def test_ampersand_ends_a_value(client: Client) -> None:
    """What follows an unescaped `&` is another parameter, so the filter lacks its end."""
    async with await client.connect("admin.t", query="where=name=in:a&b;") as socket:
        assert await socket.closed() == INVALID


@pytest.mark.parametrize(
    "query",
    [
        "where=a=1;&where=a=1;",
        "where=&where=",
        "where[]=a=1;",
        "where[x]=a=1;",
        "where%5B%5D=a=1;",
        "where=a=1;&where[]=b=1;",
        "fields=a&fields=a",
        "fields[]=a",
        "fields[x]=a",
        "fields%5Bx%5D=a",
        "fields&fields=a",
        "where&where",
        "where=&wh%65re=",
        "where[a][b]=1",
        "where[]",
    ],
)
async def test_ambiguous(client: Client, query: str) -> None:
    """A filter or projection given twice or in brackets closes with 4000: it is never dropped."""
    async with await client.connect("admin.t", query=query) as socket:
        assert await socket.closed() == INVALID


async def test_second_question_mark(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Only the first `?` of the target separates; nothing behind a second one is lost, a ticket included."""
    name = create_topic()
    target = f"/kafka-ws/v1/topics/{name}?x=1?2&ticket={await client.get_ticket()}&where=name=in:one?;"
    async with await client.open(target) as socket:
        await asyncio.to_thread(records.write_all, name, [b'{"name":"one"}', b'{"name":"one?"}'])
        assert await socket.value() == {"name": "one?"}
    assert await passes(client, records, create_topic(), "x=1?2&where=name=in:one,END;", "one", "two") == ["one"]


async def test_many_parameters(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A filter behind more than a thousand parameters counts."""
    query = "&".join(f"p{number}=" for number in range(1500)) + "&where=name=in:one,END;"
    assert await passes(client, records, create_topic(), query, "one", "two") == ["one"]


async def test_fields_are_decoded_alike(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Blanks, escapes and brackets of a projection arrive as text."""
    name = create_topic()
    async with await client.connect(name, query="fields=a+b,%C3%A9/c,d%2Fe") as socket:
        await asyncio.to_thread(records.write, name, '{"a b":1,"é":{"c":2,"x":0},"d":{"e":3,"x":0},"x":0}'.encode())
        assert await socket.value() == {"a b": 1, "é": {"c": 2}, "d": {"e": 3}}


async def test_long_filter(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A filter of 60,000 characters arrives whole."""
    names = ",".join(f"n{number:06d}" for number in range(7_500))
    assert await passes(client, records, create_topic(), f"where=name=in:{names},END;", "n007499", "other") == [
        "n007499"
    ]
