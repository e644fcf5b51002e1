"""Nothing is held back, in either direction, and connections are used again when they may be."""

from __future__ import annotations

import threading

import pytest

from tests.support.relay import RelayProcess, ScriptedUpstream, Wire, wait_until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def head(upstream: ScriptedUpstream, extra: bytes = b"", path: bytes = b"x") -> bytes:
    return b"POST /%s/%s HTTP/1.1\r\nHost: r\r\n%s\r\n" % (upstream.name.encode(), path, extra)


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_each_response_write_arrives_before_the_next_is_made(
    relay: RelayProcess, upstream: ScriptedUpstream, framing: str
) -> None:
    client = relay.connect()
    client.send(head(upstream))
    peer = upstream.accept()
    peer.read_head()
    events = [b"data: %d\n\n" % number for number in range(20)]
    line = {"chunked": b"Transfer-Encoding: chunked\r\n", "length": b"Content-Length: %d\r\n" % len(b"".join(events))}
    peer.send(b"HTTP/1.1 200 OK\r\n%s\r\n" % line.get(framing, b""))
    client.read_head()
    for event in events:
        raw = b"%x\r\n%s\r\n" % (len(event), event) if framing == "chunked" else event
        peer.send(raw)
        assert client.read(len(raw)) == raw
    if framing == "chunked":
        peer.send(b"0\r\n\r\n")
        assert client.read(5) == b"0\r\n\r\n"
    elif framing == "close":
        peer.close()
    exchange = relay.spool.exchange(upstream.name)
    assert [data for _, data in exchange.response_chunks] == events
    times = [t_ns for t_ns, _ in exchange.response_chunks]
    assert times == sorted(times)


def test_half_a_chunk_is_not_waited_with(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(head(upstream))
    peer = upstream.accept()
    peer.read_head()
    for raw in (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"a\r\n01",
        b"234",
        b"56789\r",
        b"\n0\r\n",
        b"\r\n",
    ):
        peer.send(raw)
        assert client.read(len(raw)) == raw
    assert relay.spool.exchange(upstream.name).response_body == b"0123456789"


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_request_reaches_the_provider_while_the_client_still_sends(
    relay: RelayProcess, upstream: ScriptedUpstream, framing: str
) -> None:
    client = relay.connect()
    extra = b"Transfer-Encoding: chunked\r\n" if framing == "chunked" else b"Content-Length: 40\r\n"
    client.send(head(upstream, extra))
    peer = upstream.accept()
    peer.read_head()
    for number in range(10):
        raw = b"%04d" % number if framing == "length" else b"4\r\n%04d\r\n" % number
        client.send(raw)
        assert peer.read(len(raw)) == raw
    if framing == "chunked":
        client.send(b"0\r\n\r\n")
        assert peer.read(5) == b"0\r\n\r\n"
    peer.send(OK)
    assert client.read(len(OK)) == OK
    assert relay.spool.exchange(upstream.name).request_body == b"".join(b"%04d" % number for number in range(10))


def test_head_that_comes_in_pieces_is_put_together(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    for byte in head(upstream, b"Content-Length: 1\r\n") + b"x":
        client.send(bytes([byte]))
    peer = upstream.accept()
    assert peer.read_head().startswith(b"POST /x HTTP/1.1\r\n")
    assert peer.read(1) == b"x"
    for byte in OK:
        peer.send(bytes([byte]))
    assert client.read(len(OK)) == OK


def test_early_response_passes_while_the_request_goes_on(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(head(upstream, b"Content-Length: 8\r\n") + b"1234")
    peer = upstream.accept()
    peer.read_head()
    peer.send(OK)
    assert client.read(len(OK)) == OK
    client.send(b"5678")
    assert peer.read(8) == b"12345678"
    exchange = relay.spool.exchange(upstream.name)
    assert exchange.request_body == b"12345678"
    assert relay.spool.outcome(upstream.name) == "completed"
    client.send(head(upstream))  # still in step
    assert peer.read_head()


def test_early_response_and_close_still_reaches_a_client_in_the_middle_of_sending(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    client = relay.connect()  # sends more than all buffers on the way can hold
    client.send(head(upstream, b"Content-Length: 64000000\r\n"))
    peer = upstream.accept()
    peer.read_head()
    sender = threading.Thread(target=_send_all, args=(client, b"x" * 64_000_000))
    sender.start()
    try:
        refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"
        assert peer.read(1000)
        peer.send(refusal)
        peer.half_close()
        received, _ = client.read_to_end()
        assert received.startswith(b"HTTP/1.1 413 Too Large\r\n")
        assert received.endswith(b"\r\n\r\nbig")
    finally:
        client.close()
        sender.join()
    exchange = relay.spool.exchange(upstream.name)
    assert (exchange.is_request_complete, exchange.response_body) == (False, b"big")
    assert relay.spool.outcome(upstream.name) == "completed"


def _send_all(client: Wire, data: bytes) -> None:
    try:
        client.send(data)
    except OSError:
        return  # the relay closed, which the test is about


def test_connection_to_the_provider_is_used_again(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(head(upstream))
    peer = upstream.accept()
    for _ in range(5):
        peer.read_head()
        peer.send(OK)
        assert client.read(len(OK)) == OK
        client.send(head(upstream))
    other = relay.connect()
    peer.read_head()
    peer.send(OK)
    client.read(len(OK))
    other.send(head(upstream))  # another client's
    peer.read_head()
    assert upstream.accept_count == 1


def test_requests_at_the_same_time_have_connections_of_their_own(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    clients = [relay.connect() for _ in range(3)]
    peers = []
    for number, client in enumerate(clients):
        client.send(head(upstream, path=b"%d" % number))
        peers.append(upstream.accept())
    for number in (2, 0, 1):
        assert peers[number].read_head().startswith(b"POST /%d " % number)
        peers[number].send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
    for number, client in enumerate(clients):
        client.read_head()
        assert client.read(1) == b"%d" % number


def test_provider_that_closed_an_idle_connection_is_called_anew(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    client = relay.connect()
    client.send(head(upstream))
    peer = upstream.accept()
    peer.read_head()
    peer.send(OK)
    client.read(len(OK))
    peer.half_close()
    assert peer.read_to_end() == (b"", False)  # the relay has noticed
    client.send(head(upstream))
    second = upstream.accept()
    second.read_head()
    second.send(OK)
    assert client.read(len(OK)) == OK


def test_bytes_nobody_asked_for_spoil_a_connection_only(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(head(upstream))
    peer = upstream.accept()
    peer.read_head()
    peer.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    assert client.read(len(OK)) == OK
    assert peer.read_to_end()[0] == b""
    client.send(head(upstream))
    second = upstream.accept()
    second.read_head()
    second.send(OK)
    assert client.read(len(OK)) == OK
    assert client.has_nothing()


def test_pipelined_requests_are_answered_in_order(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(
        head(upstream, b"Content-Length: 1\r\n", b"1")
        + b"a"
        + head(upstream, b"", b"2")
        + head(upstream, b"", b"3")[:-5]
    )
    peer = upstream.accept()
    for number in (1, 2, 3):
        assert peer.read_head().startswith(b"POST /%d " % number)
        if number == 1:
            assert peer.read(1) == b"a"
        assert peer.has_nothing()  # the next one waits for this answer
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        client.read_head()
        assert client.read(1) == b"%d" % number
        if number == 2:
            client.send(head(upstream, b"", b"3")[-5:])


def test_blank_lines_before_a_request_are_ignored(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    for piece in (b"\r\n\r\n" + head(upstream, b"", b"1") + b"\r", b"\n" + head(upstream, b"", b"2")):
        client.send(piece)
    peer = upstream.accept()
    for number in (1, 2):
        assert peer.read_head().startswith(b"POST /%d " % number)
        peer.send(OK)
        assert client.read(len(OK)) == OK


def test_pipelined_bodies_beyond_the_buffer_arrive_whole(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    body = b"z" * 300_000
    sender = threading.Thread(
        target=_send_all, args=(client, (head(upstream, b"Content-Length: %d\r\n" % len(body)) + body) * 3)
    )
    sender.start()
    peer = upstream.accept()
    for _ in range(3):
        peer.read_head()
        assert peer.read(len(body)) == body
        peer.send(OK)
        assert client.read(len(OK)) == OK
    sender.join()


def test_client_that_has_finished_sending_gets_its_whole_answer(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    client = relay.connect()
    client.send(head(upstream))
    client.half_close()
    peer = upstream.accept()
    peer.read_head()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12")
    assert client.read_head()
    assert client.read(2) == b"12"
    peer.send(b"34")
    assert client.read_to_end() == (b"34", False)
    assert relay.spool.outcome(upstream.name) == "completed"


def test_pipelined_requests_of_a_client_that_has_finished_sending_are_all_answered(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    client = relay.connect()
    client.send(head(upstream, path=b"1") + head(upstream, path=b"2") + b"POST /unfin")
    client.half_close()
    peer = upstream.accept()
    for _ in range(2):
        peer.read_head()
        peer.send(OK)
    assert client.read_to_end() == (OK * 2, False)


def test_request_that_ends_half_way_is_a_client_gone(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(head(upstream, b"Content-Length: 10\r\n") + b"12345")
    peer = upstream.accept()
    peer.read_head()
    client.half_close()
    assert peer.read(5) == b"12345"
    peer.read_to_end()
    exchange = relay.spool.exchange(upstream.name)
    assert (exchange.request_body, exchange.is_request_complete) == (b"12345", False)
    assert relay.spool.outcome(upstream.name) == "client_cancelled"


def test_connection_whose_answer_a_slow_client_delayed_serves_the_next_client(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    slow = relay.connect(receive_buffer_bytes=4096)
    slow.send(head(upstream))
    peer = upstream.accept()
    peer.read_head()
    body = b"s" * 12_000_000
    sender = threading.Thread(
        target=peer.send, args=(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body,)
    )
    sender.start()
    slow.read_head()
    assert slow.read(len(body)) == body
    sender.join()
    wait_until(lambda: relay.spool.outcome(upstream.name) == "completed")
    fast = relay.connect()
    fast.send(head(upstream))
    peer.read_head()
    peer.send(OK)
    assert fast.read(len(OK)) == OK


@pytest.mark.parametrize("length", [1_200_000, 2_800_000, 4_000_000])
def test_answer_that_waits_for_a_slow_client_does_not_stop_its_connection(
    relay: RelayProcess, upstream: ScriptedUpstream, length: int
) -> None:
    """The answer's last piece may be what makes the client too slow: then nothing must stay held."""
    slow = relay.connect(receive_buffer_bytes=4096)
    slow.send(head(upstream))
    peer = upstream.accept()
    peer.read_head()
    body = b"s" * length
    sender = threading.Thread(
        target=peer.send, args=(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body,)
    )
    sender.start()
    slow.read_head()
    fast = relay.connect()
    slow.read(length)
    sender.join()
    fast.send(head(upstream))
    second = peer if relay.spool.outcome(upstream.name) == "completed" else upstream.accept()
    second.read_head()
    second.send(OK)
    assert fast.read(len(OK)) == OK
