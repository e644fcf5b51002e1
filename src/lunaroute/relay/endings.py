"""[io] How a connection ends: what the peer's end means, and how to make ours a reset.

Has the peer closed its socket, or only its sending side? Both look the same on the wire (a FIN). A client that is gone
must stop the provider at once; one that has only finished sending still waits for its answer. For a peer on this
machine, where nearly all clients are, Linux can tell: a closed socket has lost its process, and its row in
/proc/net/tcp has inode 0.
"""

from __future__ import annotations

import asyncio
import socket
import struct

_INODE_FIELD = 9


def is_peer_gone(sock: socket.socket) -> bool:
    """True only when it is certain; a remote peer, or another system than Linux, is given the benefit."""
    try:
        local, peer = sock.getsockname(), sock.getpeername()
        table = "/proc/net/tcp6" if sock.family == socket.AF_INET6 else "/proc/net/tcp"
        row_start = f"{_hex(sock.family, peer)} {_hex(sock.family, local)} "
        with open(table) as rows:
            next(rows)
            for row in rows:
                if row.partition(": ")[2].startswith(row_start):
                    return row.split()[_INODE_FIELD] == "0"
    except OSError:
        return False
    return False


def reset_when_closed(transport: asyncio.Transport) -> None:
    """Make the coming close a reset; what was written before still arrives."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hex(family: int, address: tuple[str, int]) -> str:
    """An address as the kernel prints it: 32-bit words in host order, then the port."""
    words = struct.iter_unpack("=I", socket.inet_pton(family, address[0].partition("%")[0]))
    return "".join(f"{word:08X}" for (word,) in words) + f":{address[1]:04X}"
