"""[io] Process supervision: one supervisor starts, watches and stops the relay workers and the recorder.

`server` is the life of one `lunaroute serve`; `child` one supervised process; `listeners` the sockets that stay
open while a worker restarts; `instance` how other commands find the running server; `background` starts one
detached; `spec` what a child is told. Plain standard library: the supervisor lives as long as the server and
must stay small.
"""
