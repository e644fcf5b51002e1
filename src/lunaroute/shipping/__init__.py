"""[io] What is recorded, on to the sinks of installed packages ([sinks] in config.toml), in a process of its own.

`worker` is the process; `delivery` one sink's thread; `growth` what session files have got that it was not given;
`positions` how far it is. The session files are the queue: a sink that is down holds nothing but itself up.
"""
