"""[io] The dashboard: recordings in a browser, live, from this machine alone.

`server` is the process; `app` the routes; `guard` who gets in; `asked` what a request asks for; `api` the JSON answers,
`openapi` their description; the pages are one module each, their texts in `templates`, their scripts in `static`.
Everything it shows comes from `lunaroute.query`; it writes nothing but the user's own marks (`marks`).
"""
