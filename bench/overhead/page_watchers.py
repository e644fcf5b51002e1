"""Pages of the dashboard that are open, as far as their stream goes: `page_watchers.py PORT COUNT`, until ended."""

from __future__ import annotations

import asyncio
import sys


async def watch(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/v1/live HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode())
    while await reader.read(1 << 20):
        pass


async def main() -> None:
    port, count = map(int, sys.argv[1:])
    await asyncio.gather(*(watch(port) for _ in range(count)))


if __name__ == "__main__":
    asyncio.run(main())
