"""A store that is down while traffic goes on: what is missing afterwards, and how fast it catches up.

`load` sends requests at a fixed rate, `run` is one outage from end to end, `__main__` measures it on real servers.
"""
