"""DNS messages: queries understood, answers as clients expect them."""

import struct

import pytest

from engine.networks.dns.message import (
    AAAA,
    NO_SUCH_NAME,
    PTR,
    A,
    Question,
    address_record,
    answer,
    parse,
    pointer_record,
    response_code,
    reverse_address,
)

OPT = struct.pack(">BHHIH", 0, 41, 1232, 0, 0)


def query(name: str, kind: int = A, extra: bytes = b"", flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split(".") if part)
    header = struct.pack(">HHHHHH", 0x1234, flags, 1, 0, 0, 1 if extra else 0)
    return header + labels + b"\0" + struct.pack(">HH", kind, 1) + extra


def question(name: str, kind: int = A, extra: bytes = b"") -> Question:
    found = parse(query(name, kind, extra))
    assert found is not None
    return found


def test_a_plain_query() -> None:
    found = question("Web.Example.")
    assert (found.id, found.name, found.type) == (0x1234, "web.example", A)
    assert (found.edns, found.size) == (False, 512)


def test_a_query_with_edns() -> None:
    found = question("web", AAAA, OPT)
    assert (found.edns, found.size) == (True, 1232)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 12,
        query("web", flags=0x8000),  # an answer
        query("web", flags=0x2800),  # an update
        query("web")[:-3],
        query("web")[:12] + b"\xc0\x0c" + b"\0\1\0\1",  # a pointer to itself
        query("web")[:12] + b"\x3fshort\0\0\1\0\1",
        query("web")[:-1] + b"\3",  # class CHAOS
    ],
)
def test_what_is_no_query(data: bytes) -> None:
    assert parse(data) is None


def test_an_answer_repeats_the_question_as_it_was_spelt() -> None:
    data = answer(question("WEB"), [address_record("172.18.0.2")])
    ident, flags, questions, answers, _, additional = struct.unpack_from(">HHHHHH", data)
    assert (ident, questions, answers, additional) == (0x1234, 1, 1, 0)
    assert flags == 0x8180  # answer, recursion desired and available, no error
    assert data[12:21] == b"\3WEB\0\0\1\0\1"
    assert data.endswith(b"\0\4\xac\x12\0\2")


def test_a_name_that_exists_without_such_an_address_is_no_error() -> None:
    data = answer(question("web", AAAA))
    assert response_code(data) == 0
    assert data[6:8] == b"\0\0"


def test_edns_is_answered_with_edns() -> None:
    assert answer(question("web", A, OPT)).endswith(struct.pack(">BHHIH", 0, 41, 1232, 0, 0))
    assert response_code(answer(question("web"), code=NO_SUCH_NAME)) == NO_SUCH_NAME


def test_what_does_not_fit_is_cut_off_and_says_so() -> None:
    records = [address_record(f"10.0.0.{n}") for n in range(1, 101)]
    cut = answer(question("web"), records)
    assert len(cut) <= 512
    assert cut[2] & 0x02
    whole = answer(question("web"), records, tcp=True)
    assert not whole[2] & 0x02
    assert struct.unpack_from(">H", whole, 6) == (100,)


def test_names_of_addresses() -> None:
    assert reverse_address("2.0.18.172.in-addr.arpa") == "172.18.0.2"
    assert reverse_address("0.18.172.in-addr.arpa") == ""
    assert reverse_address("x.0.18.172.in-addr.arpa") == ""
    six = ".".join("20000000000000000000000000000" + "0df") + ".ip6.arpa"
    assert reverse_address(six) == "fd00::2"
    assert pointer_record("web.shop") == (PTR, b"\3web\4shop\0")
