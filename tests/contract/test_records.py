"""Behaviour, section 7: what is sent of which record, through the real tiers. More of it is in `tests/cases`."""

import asyncio
import json

import pytest

from tests.conftest import CreateTopic
from tests.kafka.records import RecordWriter
from tests.stack.client import Client

END = '{"end":true}'


async def texts(
    client: Client, records: RecordWriter, topic: str, payloads: list[bytes], *, where: str = "", fields: str = ""
) -> list[str]:
    """The frames that a client gets for these records, up to the one that ends the test."""
    selected = f"{fields},end" if fields else None
    async with await client.connect(topic, where=where or None, fields=selected) as socket:
        await asyncio.to_thread(records.write_all, topic, [*payloads, END.encode()])
        received = []
        while (text := await socket.text()) != END:
            received.append(text)
        return received


@pytest.mark.parametrize("where", ["", "x=nin:y;"])
async def test_bytes_that_are_not_utf8(
    client: Client, create_topic: CreateTopic, records: RecordWriter, where: str
) -> None:
    """They are read as U+FFFD, and the frame is good UTF-8."""
    payloads = [b'{"a":"caf\xe9"}', b'{"\xff":1}', b"\xff\xfe", b'{"a":1}\xff', b'{"a":"\xed\xa0\x80"}']
    received = await texts(client, records, create_topic(), payloads, where=where)
    assert [json.loads(text) for text in received] == [{"a": "caf\ufffd"}, {"\ufffd": 1}, {"a": "\ufffd\ufffd\ufffd"}]


async def test_bytes_that_are_not_utf8_can_be_asked_for(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """A condition and a projection see the same U+FFFD as the client."""
    payloads = [b'{"a":"caf\xe9"}', b'{"a":"cafe"}']
    assert await texts(client, records, create_topic(), payloads, where="a=nin:f\ufffd;") == ['{"a":"cafe"}']
    received = await texts(client, records, create_topic(), [b'{"\xe9":1,"b":2}'], fields="\ufffd")
    assert [json.loads(text) for text in received] == [{"\ufffd": 1}]


DIGITS = [
    "9007199254740993",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "3.14159265358979323846264338327950288",
    "1e400",
    "-1E+400",
    "1e-400",
    "1.0",
    "1E5",
    "-0",
    "-0.0",
    "9" * 5_000,
]


@pytest.mark.parametrize(("where", "fields"), [("", ""), ("n=nin:x;", ""), ("", "n"), ("n=nin:x;", "n"), ("", "*")])
async def test_digits(
    client: Client, create_topic: CreateTopic, records: RecordWriter, where: str, fields: str
) -> None:
    """A number is sent with the digits that it came with, or at least as the number that it is; never as no JSON."""
    payloads = [f'{{"n":{digits}}}'.encode() for digits in DIGITS]
    received = await texts(client, records, create_topic(), payloads, where=where, fields=fields)
    sent = [json.loads(text, parse_int=str, parse_float=str, parse_constant=pytest.fail)["n"] for text in received]
    assert [float(each) for each in sent] == [float(each) for each in DIGITS]
    exact = [digits for digits in DIGITS if len(digits) > 15]
    assert [each for each in sent if len(each) > 15] == exact


@pytest.mark.parametrize(("where", "fields"), [("", ""), ("a=nin:x;", ""), ("", "a"), ("a=nin:x;", "*")])
async def test_payloads_that_are_no_json(
    client: Client, create_topic: CreateTopic, records: RecordWriter, where: str, fields: str
) -> None:
    """Nothing is sent for them, nor for scalars and what is empty, and the records behind them come."""
    payloads = [
        b"",
        b"{",
        b"NaN",
        b'{"a":NaN}',
        b'{"a":1,}',
        b"\xef\xbb\xbf{}",
        b"null",
        b"5",
        b'"a"',
        b"true",
        b"[]",
        b"{}",
    ]
    payloads += [b"[" * 100_000, b'{"a":' * 100_000, b"\x00", b'{"a":"\t"}', b'{"a":1}{"a":2}', b'{"a":01}']
    assert await texts(client, records, create_topic(), payloads, where=where, fields=fields) == []


async def test_members_are_not_rewritten(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Keys that look like paths or indexes stay what they are, below a `where` too, and cost nothing."""
    payload = (
        '{"kk":1,"a.b":1,"o":{"0":"x","2":"y"},"year":{"2024":1},"1000000":{"99999999":1},"":2,"__proto__":{"x":1}}'
    )
    for where in ("", "kk=nin:2;"):
        assert await texts(client, records, create_topic(), [payload.encode()], where=where) == [payload]


async def test_filters_are_not_mixed_up(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Clients on one topic at once get what each has asked for, however alike their queries are."""
    name = create_topic()
    queries = [
        ({"fields": "a(b,e),f(c,g)"}, {"a": {"b": 1, "e": 2}, "f": {"c": 3, "g": 4}}),
        ({"fields": "a(b,g),f(c,e)"}, {"a": {"b": 1, "g": 5}, "f": {"c": 3, "e": 6}}),
        ({"fields": "s", "where": 's=in:"x,y";'}, {"s": "x,y"}),
        ({"fields": "s", "where": "s=in:x,z;"}, {"s": "x,y"}),
        ({"fields": "a/b", "where": "s=in:x,y;"}, {"a": {"b": 1}}),
        ({"fields": "f/c", "where": 's=nin:"y,x";'}, {"f": {"c": 3}}),
    ]
    sockets = [await client.connect(name, where=query.get("where"), fields=query.get("fields")) for query, _ in queries]
    payload = {"a": {"b": 1, "e": 2, "g": 5}, "f": {"c": 3, "g": 4, "e": 6}, "s": "x,y"}
    await asyncio.to_thread(records.write, name, json.dumps(payload).encode())
    assert [await socket.value() for socket in sockets] == [expected for _, expected in queries]
    for socket in sockets:
        await socket.close()


async def test_trouble_stays_with_its_client(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Queries that are refused, and such as cost the most, leave other clients of the topic what they get."""
    name = create_topic()
    async with await client.connect(name, where="a=1;") as quiet:
        bad = ["a", "a=1;" * 16_000 + "b", 'a=in:"' + "\\\\" * 30_000, "a=x:1;", "a=" + ",".join("1" * 30_000) + ";"]
        closed = [(await client.connect(name, where=where)) for where in bad]
        assert [(await socket.closed()).code for socket in closed] == [4000, 4000, 4000, 4001, 4003]
        costly = [
            await client.connect(name, where="a=nin:" + ",".join(f"x{n}" for n in range(9_000)) + ";"),
            await client.connect(name, where="".join(f"p{n}=nin:1;" for n in range(5_000))),
            await client.connect(name, fields="*/" * 99 + "*"),
        ]
        await asyncio.to_thread(records.write_all, name, [b'{"a":1}', b'{"a":2,"a":1}', b'{"a":{"a":1}}'])
        assert [await quiet.text(), await quiet.text()] == ['{"a":1}', '{"a":2,"a":1}']
        for socket in costly:
            await socket.close()
