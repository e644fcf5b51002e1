"""Questions on a store of ten million exchanges, in the engine of today's ClickHouse (chDB).

`store` makes it from invented sessions, `copies` is the SQL that multiplies them, `__main__` asks and measures.
"""
