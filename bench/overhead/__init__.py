"""What the relay costs beside nginx: a load of our own, the same through each proxy, and what it took.

`make bench` for about a minute of it, `make bench LONG=1` for all. Docs: docs/performance.md.
"""
