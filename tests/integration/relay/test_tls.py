"""Providers are reached over TLS, and only when their certificate is good."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.relay import ScriptedUpstream, Wire, started


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(certificate, key) for 127.0.0.1, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", paths[0], "-keyout", paths[1]),
        ],
        check=True,
        capture_output=True,
    )
    return paths


def serve_tls(upstream: ScriptedUpstream, certificate: tuple[Path, Path], wires: list[Wire]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = upstream.accept()
    try:
        wires.append(Wire(context.wrap_socket(plain.sock, server_side=True)))
    except OSError:
        plain.close()


def test_provider_with_a_trusted_certificate_is_reached(
    tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    upstream = ScriptedUpstream("u")
    with started(tmp_path, {"u": upstream.url.replace("http:", "https:")}) as relay:
        wires: list[Wire] = []
        server = threading.Thread(target=serve_tls, args=(upstream, certificate, wires))
        server.start()
        client = relay.connect()
        client.send(b"POST /u/x HTTP/1.1\r\nHost: r\r\nContent-Length: 5\r\n\r\nhello")
        server.join()
        peer = wires[0]
        assert isinstance(peer.sock, ssl.SSLSocket)
        assert peer.sock.selected_alpn_protocol() == "http/1.1"
        expected = b"POST /x HTTP/1.1\r\nHost: %s\r\nContent-Length: 5\r\n\r\nhello" % upstream.host
        assert peer.read(len(expected)) == expected
        ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        peer.send(ok)
        assert client.read(len(ok)) == ok
        assert relay.spool.outcome("u") == "completed"
        peer.close()
    upstream.close()


def test_provider_with_a_certificate_of_nobody_gets_no_byte_of_the_request(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    upstream = ScriptedUpstream("u")
    with started(tmp_path, {"u": upstream.url.replace("http:", "https:")}) as relay:
        wires: list[Wire] = []
        server = threading.Thread(target=serve_tls, args=(upstream, certificate, wires))
        server.start()
        client = relay.connect()
        client.send(b"POST /u/x HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer secret\r\n\r\n")
        assert client.read_head().startswith(b"HTTP/1.1 502 ")
        server.join()
        assert all(wire.read_to_end()[0] == b"" for wire in wires)
        assert relay.spool.outcome("u") == "upstream_unreachable"
        for wire in wires:
            wire.close()
    upstream.close()
