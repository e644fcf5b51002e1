"""[pure] Who may read recordings over HTTP: a guard around any ASGI application, such as dashboard and API.

    app = AccessGuard(app, lambda: AccessPolicy.of(host="127.0.0.1", salt=salt))

`policy` decides, `guard` speaks ASGI. Nothing is let through that is not recognised.
"""
