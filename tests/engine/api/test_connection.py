"""HTTP as clients speak it, and as they don't."""

import asyncio
import json

import pytest

from engine.api.body import HIGH_WATER

GET = b"GET /things/a HTTP/1.1\r\nHost: d\r\n\r\n"
JSON = b"POST /json HTTP/1.1\r\nContent-Type: application/json\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: tcp\r\n"


async def test_keep_alive_answers_one_after_the_other(client):
    for _ in range(3):
        status, headers, body = await client.ask(GET)
        assert status == 200
        assert json.loads(body) == {"name": "a", "version": [1, 51]}
    assert headers["api-version"] == "1.51"
    assert headers["ostype"] == "linux"
    assert headers["server"] == "Test/1 (linux)"
    assert headers["docker-experimental"] == "false"
    assert "date" in headers


async def test_pipelined_requests_keep_their_order(client):
    names = [f"n{number}" for number in range(50)]
    await client.send(b"".join(GET.replace(b"/a ", f"/{name} ".encode()) for name in names))
    answers = [json.loads((await client.answer())[2])["name"] for _ in names]
    assert answers == names


async def test_a_body_that_comes_while_another_request_is_answered(client):
    first = b"POST /ignore HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\nxx"
    upload = b"POST /upload HTTP/1.1\r\nHost: d\r\nContent-Length: 300000\r\n\r\n"
    await client.send(first + upload + bytes(1000))
    await asyncio.sleep(0.01)
    await client.send(bytes(99_000))
    await asyncio.sleep(0.01)
    await client.send(bytes(200_000) + GET)
    assert (await client.answer())[2] == b'"not read"\n'
    assert (await client.answer())[2] == b"300000\n"
    assert (await client.answer())[0] == 200


async def test_thousands_of_pipelined_requests(scene, client):
    count = 9000
    sending = asyncio.create_task(client.send(GET * count))
    for _ in range(3):
        assert (await client.answer())[0] == 200
    (connection,) = scene.server._connections
    assert len(connection._queue) < 300  # the rest waits as bytes
    for _ in range(count - 3):
        assert (await client.answer())[0] == 200
    await sending


async def test_a_request_in_single_bytes(client):
    for byte in GET:
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await client.answer())[0] == 200


async def test_connection_close_is_kept(client):
    await client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    status, headers, _ = await client.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await client.rest() == b""


async def test_http_1_0_closes_and_streams_without_chunks(client):
    await client.send(b"GET /stream HTTP/1.0\r\n\r\n")
    status, headers = await client.head()
    assert status == 200
    assert "transfer-encoding" not in headers
    assert await client.rest() == b"firstsecond"


async def test_stream_sends_its_head_before_its_first_piece(client):
    await client.send(b"GET /stream HTTP/1.1\r\nHost: d\r\n\r\n")
    status, headers = await client.head()
    assert (status, headers["content-type"]) == (200, "application/json")
    assert [await client.chunk() for _ in range(3)] == [b"first", b"second", b""]
    assert (await client.ask(GET))[0] == 200  # the connection goes on


async def test_stream_ends_when_the_client_goes_away(scene, client):
    await client.send(b"GET /stream?wait=1 HTTP/1.1\r\nHost: d\r\n\r\n")
    await client.head()
    await client.chunk()
    await client.close()
    await asyncio.wait_for(scene.ended.wait(), 5)


async def test_slow_reader_holds_the_stream_back(scene, client):
    await client.send(b"GET /flood HTTP/1.1\r\nHost: d\r\n\r\n")
    await client.head()
    await asyncio.sleep(0.05)
    held = scene.received
    await asyncio.sleep(0.05)
    assert scene.received == held < 8 << 20
    await client.close()
    await asyncio.wait_for(scene.ended.wait(), 5)


async def test_handler_hears_that_the_client_is_gone(scene, client):
    await client.send(b"POST /slow HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
    await asyncio.sleep(0.05)
    await client.close()
    await asyncio.wait_for(scene.ended.wait(), 5)


async def test_half_closed_client_still_gets_its_answer(client):
    await client.send(GET)
    client.writer.write_eof()
    assert (await client.answer())[0] == 200
    assert await client.rest() == b""


async def test_big_upload_in_chunks(client):
    await client.send(b"POST /upload HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = bytes(1 << 20)
    for _ in range(8):
        await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    status, _, body = await client.ask(b"0\r\n\r\n")
    assert (status, int(body)) == (200, 8 << 20)


async def test_expect_continue(client):
    await client.send(
        b"POST /upload HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )
    assert (await client.head())[0] == 100
    assert (await client.ask(b"hello"))[2] == b"5\n"


async def test_refused_upload_is_told_without_its_body(client):
    await client.send(
        b"POST /nope HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    )
    status, headers, _ = await client.answer()
    assert (status, headers["connection"]) == (404, "close")


async def test_early_answer_survives_a_client_that_goes_on_sending(client):
    await client.send(b"POST /nope HTTP/1.1\r\nHost: d\r\nContent-Length: 4000000\r\n\r\n")
    for _ in range(4):
        await client.send(bytes(1_000_000))
    status, _, body = await client.answer()
    assert (status, json.loads(body)) == (404, {"message": "page not found"})
    assert await client.rest() == b""


async def test_body_that_nobody_reads_does_not_hold_up_the_next_request(client):
    size = HIGH_WATER + 1000
    await client.send(b"POST /ignore HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % size)
    assert (await client.ask(bytes(size)))[2] == b'"not read"\n'
    assert (await client.ask(GET))[0] == 200


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"PATCH"])
async def test_unknown_path_and_method(client, method):
    status, headers, body = await client.ask(method + b" /json HTTP/1.1\r\nHost: d\r\n\r\n")
    assert (status, json.loads(body)) == (404, {"message": "page not found"})
    assert headers["content-type"] == "application/json"


async def test_unforeseen_error_is_500_and_logged(client, caplog):
    status, _, body = await client.ask(b"GET /broken HTTP/1.1\r\nHost: d\r\n\r\n")
    assert (status, json.loads(body)) == (500, {"message": "the cause"})
    assert "Traceback" in caplog.text
    assert (await client.ask(GET))[0] == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"nonsense\r\n\r\n",
        b"GET /x HTTP/9.9\r\n\r\n",
        b"GET /x HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET http://[::1 HTTP/1.1\r\nHost: d\r\n\r\n",
    ],
)
async def test_malformed_request(client, garbage):
    status, headers, body = await client.ask(garbage)
    assert status == 400
    assert "malformed HTTP request" in json.loads(body)["message"]


async def test_broken_chunk_fails_the_upload(client):
    await client.send(b"POST /upload HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n")
    status, _, body = await client.ask(b"zz\r\n")
    assert status == 400
    assert await client.rest() == b""


async def test_limits_of_headers_and_address(scene):
    for request, wanted in (
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: d\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: d\r\nX: " + b"y" * 80_000 + b"\r\n\r\n", 431),
    ):
        client = await scene.client()
        assert (await client.ask(request))[0] == wanted


async def test_malformed_json(client):
    for text in (b"{bad", b"[1]", b"\xff"):
        request = JSON + b"Content-Length: %d\r\n\r\n%b"
        status, _, body = await client.ask(request % (len(text), text))
        assert (status, json.loads(body)["message"][:12]) == (400, "invalid JSON")


async def test_json_must_be_called_json(client):
    head = JSON.replace(b"application/json", b"text/plain")
    status, _, body = await client.ask(head + b"Content-Length: 2\r\n\r\n{}")
    message = "unsupported Content-Type header (text/plain): must be 'application/json'"
    assert (status, json.loads(body)) == (400, {"message": message})
    status, _, body = await client.ask(b"POST /json HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert (status, body) == (200, b"{}\n")


async def test_versions(client):
    for path, status, message in (
        ("/v1.24/things/x", 200, None),
        (
            "/v1.52/things/x",
            400,
            "client version 1.52 is too new. Maximum supported API version is 1.51",
        ),
        (
            "/v1.23/things/x",
            400,
            "client version 1.23 is too old. Minimum supported API version is 1.24, "
            "please upgrade your client to a newer version",
        ),
    ):
        answer = await client.ask(f"GET {path} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        assert answer[0] == status
        assert json.loads(answer[2]).get("message") == message


async def test_path_is_decoded_after_the_query_is_split(client):
    answer = await client.ask(b"GET /v1.41/things/a%3Fb?c=d HTTP/1.1\r\nHost: d\r\n\r\n")
    assert json.loads(answer[2]) == {"name": "a?b", "version": [1, 41]}


async def test_take_over_with_upgrade(scene, client):
    await client.send(
        JSON.replace(b"/json", b"/echo", 1) + UPGRADE + b'Content-Length: 12\r\n\r\n{"say":"hi"} a'
    )
    status, headers = await client.head()
    assert (status, headers["upgrade"], headers["connection"]) == (101, "tcp", "Upgrade")
    assert headers["content-type"] == "application/vnd.docker.raw-stream"
    await client.send(b" b")
    client.writer.write_eof()
    assert await client.rest() == b"hi a b end"
    assert scene.ended.is_set()


async def test_take_over_in_pieces_of_the_body(client):
    head = JSON.replace(b"/json", b"/echo", 1) + UPGRADE + b"Content-Length: 12\r\n\r\n"
    for piece in (head, b'{"say":', b'"hi"}', b"x"):
        await client.send(piece)
        await asyncio.sleep(0.01)
    client.writer.write_eof()
    await client.head()
    assert await client.rest() == b"hix end"


async def test_take_over_without_upgrade(client):
    await client.send(b"POST /echo HTTP/1.1\r\nHost: d\r\n\r\nnot HTTP")
    client.writer.write_eof()
    assert (await client.head())[0] == 200
    assert await client.rest() == b"not HTTP end"


async def test_take_over_carries_much_both_ways(client):
    await client.send(b"POST /echo HTTP/1.1\r\nHost: d\r\n" + UPGRADE + b"\r\n")
    await client.head()
    data = bytes(range(256)) * 32_768  # more than every buffer on the way

    async def push() -> None:
        await client.send(data)
        client.writer.write_eof()

    _, got = await asyncio.gather(push(), client.rest())
    assert got == data + b" end"


async def test_taken_over_connection_ends_with_its_client(scene, client):
    await client.send(b"POST /echo HTTP/1.1\r\nHost: d\r\n" + UPGRADE + b"\r\n")
    await client.head()
    client.writer.transport.abort()
    await asyncio.wait_for(scene.ended.wait(), 5)


async def test_upgrade_that_nobody_takes_is_a_plain_request(client):
    status, headers, _ = await client.ask(GET[:-2] + UPGRADE + b"\r\n")
    assert (status, headers["connection"]) == (200, "close")


async def test_upgrade_needs_a_length(client):
    status, _, _ = await client.ask(
        b"POST /echo HTTP/1.1\r\nHost: d\r\n" + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    assert status == 400


async def test_three_hundred_clients_at_once(scene):
    async def one(number: int) -> bool:
        client = await scene.client()
        answers = [(await client.ask(GET))[0] for _ in range(2)]
        if number % 3 == 0:
            client.writer.transport.abort()
        return answers == [200, 200]

    assert all(await asyncio.gather(*map(one, range(300))))


@pytest.mark.parametrize(
    "start",
    [
        b"GET /things/a HTTP/1.1\r\nX: ",
        b"GET /things/a HTTP/1.1\r\n",
        b"POST /json HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ],
)
async def test_a_line_without_an_end_is_refused(client, start):
    await client.send(start)
    for _ in range(5):
        await client.send(b"a" * (256 << 10))
    status, _, body = await client.answer()
    assert status in (400, 431)
    assert json.loads(body)["message"]


async def test_a_long_body_in_one_chunk_is_no_line(client):
    size = 3 << 20
    await client.send(JSON + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size)
    await client.send(b'"' + b"a" * (size - 2) + b'"' + b"\r\n0\r\n\r\n")
    assert "object" in json.loads((await client.answer())[2])["message"]
