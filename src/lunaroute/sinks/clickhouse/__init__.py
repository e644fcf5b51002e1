"""[io] The same tables in ClickHouse, over plain HTTP."""
