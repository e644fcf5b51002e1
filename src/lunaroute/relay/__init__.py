"""[io] The passthrough proxy: HTTP/1.1 in and out, bytes untouched, a copy of each to the tap.

    worker      one process: sockets, event loop, signals, orderly stop
    client      a client's connection: finds requests in its bytes
    upstream    a provider's connection: finds responses in its bytes; pool
    exchange    joins one request to one provider connection and tells the tap
    tap         the copy's way to the spool; cannot fail the traffic
    heads, chunked, headers, routes, credentials, answers      pure rules

Never parses a body, never waits for the recorder.
"""
