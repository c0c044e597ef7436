"""The contracts keep what they have promised, and explain themselves."""

import subprocess
from pathlib import Path

import pytest

from tests.proto.comments import uncommented
from tests.proto.contract import (
    SOURCES,
    Contract,
    ProtocError,
    breaking_changes,
    compile_contracts,
    contract_of,
    published,
)

HEADER = 'syntax = "proto3"; package p; '
MESSAGE = "message M { string a = 1; optional int32 b = 2; oneof o { bytes c = 3; } enum E { X = 0; Y = 5; } }"
SERVICE = "service S { rpc Get(M) returns (stream M); }"


def contract(tmp_path: Path, source: str) -> Contract:
    """The contract of one proto file."""
    (tmp_path / "p.proto").write_text(HEADER + source)
    return contract_of(compile_contracts(tmp_path))


def test_nothing_published_has_changed() -> None:
    """Peers that were built with the published contract understand today's."""
    assert breaking_changes(published(), contract_of(compile_contracts())) == []


def test_the_published_contract_is_complete() -> None:
    """What was added is published too, so that it is guarded from now on (`python -m tests.proto.contract`)."""
    assert published() == contract_of(compile_contracts())


def test_everything_is_explained() -> None:
    """Every field, enum value and method of the contracts has a comment."""
    assert uncommented(compile_contracts()) == []


def test_stubs_are_fresh() -> None:
    """The committed stubs are what `make generate` writes."""
    check = subprocess.run(
        ["make", "-s", "stubs-fresh"], cwd=SOURCES.parent, capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("string a = 1;", "string a = 7;", "p.M.1: `string a` is gone, and its number is not reserved"),
        ("string a = 1;", "", "p.M.1: `string a` is gone, and its number is not reserved"),
        ("string a = 1;", "string z = 1;", "p.M.1: `string a` has become `string z`"),
        ("string a = 1;", "bytes a = 1;", "p.M.1: `string a` has become `bytes a`"),
        ("string a = 1;", "repeated string a = 1;", "p.M.1: `string a` has become `repeated string a`"),
        ("optional int32 b", "int32 b", "p.M.2: `optional int32 b` has become `int32 b`"),
        ("oneof o { bytes c = 3; }", "bytes c = 3;", "p.M.3: `oneof o: bytes c` has become `bytes c`"),
        ("Y = 5;", "Z = 5;", "p.M.E.5: `Y` has become `Z`"),
        ("Y = 5;", "", "p.M.E.5: `Y` is gone, and its number is not reserved"),
        ("stream M", "M", "p.S.Get: `(p.M) returns (stream p.M)` has become `(p.M) returns (p.M)`"),
        (SERVICE, "", "p.S: `service` is gone, and its number is not reserved"),
    ],
)
def test_a_breaking_change_is_noticed(before: str, after: str, problem: str, tmp_path: Path) -> None:
    """Every kind of change that a peer would notice is named, with the element it concerns."""
    old = contract(tmp_path, MESSAGE + SERVICE)
    new = contract(tmp_path, (MESSAGE + SERVICE).replace(before, after))
    assert problem in breaking_changes(old, new)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("message M {", "message M { string more = 9;"),
        ("string a = 1;", "reserved 1;"),
        ("Y = 5;", "reserved 5; Y2 = 6;"),
        (SERVICE, "service S { rpc Get(M) returns (stream M); rpc Put(M) returns (M); }"),
    ],
)
def test_additions_and_reserved_numbers_break_nothing(before: str, after: str, tmp_path: Path) -> None:
    """What is new is fine, and so is a removal that reserves the number."""
    old = contract(tmp_path, MESSAGE + SERVICE)
    assert breaking_changes(old, contract(tmp_path, (MESSAGE + SERVICE).replace(before, after))) == []


def test_a_reserved_number_stays_reserved(tmp_path: Path) -> None:
    """A number that was given up is not used again for something else."""
    old = contract(tmp_path, "message M { reserved 1; }")
    assert breaking_changes(old, contract(tmp_path, "message M { string again = 1; }")) == [
        "p.M.1: `reserved` has become `string again`"
    ]


def test_what_has_no_comment_is_named(tmp_path: Path) -> None:
    """A field, enum value or method without a comment is found, at every level."""
    source = """
    message M {
      string bare = 1;
      // What it means.
      string explained = 2;
      message Inner { int32 deep = 1; }
      oneof either { Told told = 3; Untold untold = 4; int32 number = 5; }
    }
    // Explains the field that holds it.
    message Told {}
    message Untold {}
    enum E { ZERO = 0; }
    service S { rpc Get(M) returns (M); }
    """
    (tmp_path / "p.proto").write_text(HEADER + source)
    missing = ["p.M.bare", "p.M.untold", "p.M.number", "p.M.Inner.deep", "p.E.ZERO", "p.S.Get"]
    assert uncommented(compile_contracts(tmp_path)) == missing


def test_a_source_that_protoc_refuses_is_an_error(tmp_path: Path) -> None:
    """Wrong syntax is not taken for an empty contract."""
    (tmp_path / "p.proto").write_text("message")
    with pytest.raises(ProtocError):
        compile_contracts(tmp_path)
