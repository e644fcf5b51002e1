"""moto's server, as strict as S3 and no stricter: `python -m tests.s3.moto_server PORT`.

A bucket that gives each object a retention takes none without a checksum. S3 takes any header `x-amz-checksum-…` for
one; moto looks for the header that Amazon's SDKs send beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

_moto = DomainDispatcherApplication(create_backend_app)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if "HTTP_X_AMZ_CHECKSUM_SHA256" in environ:
        environ["HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"] = "sha256"
    answer: Iterable[bytes] = _moto(environ, start_response)
    return answer


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True)
