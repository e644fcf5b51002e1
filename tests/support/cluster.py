"""A cluster of Debian's ClickHouse servers of the tests' own: two shards of two replicas, and a ZooKeeper."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from tests.support.clickhouse import ClickHouseServer
from tests.support.server import wait_until
from tests.support.zookeeper import ZooKeeper, free_port

NAME = "team"
_MORE = """<remote_servers><{name}>{shards}</{name}></remote_servers>
  <zookeeper><node><host>127.0.0.1</host><port>{zookeeper}</port></node>
    <session_timeout_ms>6000</session_timeout_ms></zookeeper>
  <macros><shard>{shard}</shard><replica>{replica}</replica></macros>
  <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>
  <interserver_http_port>{interserver}</interserver_http_port>
  <interserver_http_host>127.0.0.1</interserver_http_host>"""
_SHARD = "<shard><internal_replication>true</internal_replication>{replicas}</shard>"
_REPLICA = "<replica><host>127.0.0.1</host><port>{port}</port></replica>"


class ClickHouseCluster:
    """Started when the block begins; its folders go when the block ends."""

    def __init__(self) -> None:
        self.zookeeper = ZooKeeper()
        self.servers = [[ClickHouseServer() for _ in range(2)] for _ in range(2)]
        """By shard and replica."""
        self._stack = ExitStack()
        self._count = 0

    def __enter__(self) -> ClickHouseCluster:
        with ExitStack() as stack:
            stack.enter_context(self.zookeeper)
            for shard, servers in enumerate(self.servers):
                for replica, server in enumerate(servers):
                    server.more_config = self._config(shard, replica)
                    stack.enter_context(server)
            for server in self.all:
                wait_until(lambda server=server: self._has_a_queue(server))  # type: ignore[misc]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stack.close()

    def new_database(self) -> str:
        """Its URL, with all addresses."""
        self._count += 1
        name = f"store{self._count}"
        self.servers[0][0].execute(f"CREATE DATABASE {name} ON CLUSTER {NAME}")
        return self.url(name, *self.all)

    def url(self, database: str, *servers: ClickHouseServer) -> str:
        addresses = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        return f"clickhouse://{addresses}/{database}"

    @property
    def all(self) -> list[ClickHouseServer]:
        return [server for servers in self.servers for server in servers]

    @staticmethod
    def _has_a_queue(server: ClickHouseServer) -> bool:
        """What is to be done on all servers at once is waited for."""
        try:
            return server.execute("SELECT name FROM system.zookeeper WHERE path = '/clickhouse/task_queue'") != b""
        except RuntimeError:
            return False

    def _config(self, shard: int, replica: int) -> str:
        replicas = ["".join(_REPLICA.format(port=one.tcp_port) for one in servers) for servers in self.servers]
        shards = "".join(_SHARD.format(replicas=one) for one in replicas)
        names = {"shard": f"s{shard + 1}", "replica": f"r{replica + 1}"}
        ports = {"zookeeper": self.zookeeper.port, "interserver": free_port()}
        return _MORE.format(name=NAME, shards=shards, **names, **ports)
