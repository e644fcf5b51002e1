"""Invented secrets and personal data of every kind that is to be redacted, with the places where bodies carry them.

None is real: all are made from a seed, in the form of the real thing.
"""

from __future__ import annotations

import base64
import json
import random
import string
from typing import Any

import re2  # type: ignore[import-untyped]

_random = random.Random(20261127)
_ALNUM = string.ascii_letters + string.digits


def _some(count: int, alphabet: str = _ALNUM) -> str:
    return "".join(_random.choice(alphabet) for _ in range(count - 1)) + "7"


def _hex(count: int) -> str:
    return _some(count, "0123456789abcdef")


def _upper(count: int) -> str:
    return "".join(_random.choice(string.ascii_uppercase + "234567") for _ in range(count))


def _jwt() -> str:
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": _some(10), "iat": 1760000000}]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*texts, _some(43)])


def _pem(kind: str) -> str:
    lines = [_some(64) for _ in range(8)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"])


_jwt_text, _rsa, _openssh = _jwt(), _pem("RSA PRIVATE KEY"), _pem("OPENSSH PRIVATE KEY")

SECRETS: dict[str, tuple[str, str]] = {
    # kind: (how it stands in a text, what of it must not be anywhere)
    name: (text.replace("@@", secret), secret)
    for name, text, secret in [
        ("anthropic key", "@@", "sk-ant-api03-" + _some(93) + "-AA"),
        ("anthropic admin key", "@@", "sk-ant-admin01-" + _some(60)),
        ("anthropic oauth token", "@@", "sk-ant-oat01-" + _some(70)),
        ("openai key", "@@", "sk-" + _some(48)),
        ("openai project key", "@@", "sk-proj-" + _some(60) + "_" + _some(20)),
        ("openrouter key", "@@", "sk-or-v1-" + _hex(64)),
        ("google api key", "@@", "AIza" + _some(35)),
        ("google oauth token", "@@", "ya29.a0" + _some(60)),
        ("google client secret", "@@", "GOCSPX-" + _some(28)),
        ("groq key", "@@", "gsk_" + _some(52)),
        ("xai key", "@@", "xai-" + _some(80)),
        ("perplexity key", "@@", "pplx-" + _some(48)),
        ("replicate token", "@@", "r8_" + _some(37)),
        ("hugging face token", "@@", "hf_" + "".join(_random.choice(string.ascii_letters) for _ in range(34))),
        ("nvidia key", "@@", "nvapi-" + _some(64)),
        ("langsmith key", "@@", "lsv2_pt_" + _hex(32) + "_" + _hex(10)),
        ("deepseek key", "@@", "sk-" + _hex(32)),
        ("aws access key id", "@@", "AKIA" + _upper(16)),
        ("aws secret key", "aws_secret_access_key = @@", _some(40)),
        ("aws session token", 'AWS_SESSION_TOKEN="@@"', _some(300)),
        ("azure storage key", "AccountName=x;AccountKey=@@==;EndpointSuffix=core", _some(86)),
        ("azure client secret", "@@", "abc8Q~" + _some(34)),
        ("azure sas", "https://x.blob.core.windows.net/c?sv=2024&sig=@@%3D", _some(43)),
        ("alibaba key", "@@", "LTAI" + _some(20)),
        ("digitalocean token", "@@", "dop_v1_" + _hex(64)),
        ("github token", "@@", "ghp_" + _some(36)),
        ("github fine-grained token", "@@", "github_pat_" + _some(22) + "_" + _some(59)),
        ("gitlab token", "@@", "glpat-" + _some(20)),
        ("atlassian token", "@@", "ATATT3" + _some(180)),
        ("npm token", "//registry/:_authToken=@@", "npm_" + _some(36)),
        ("pypi token", "@@", "pypi-AgEIcHlwaS5vcmc" + _some(80)),
        ("docker token", "@@", "dckr_pat_" + _some(27)),
        ("slack token", "@@", "xoxb-" + _some(12, string.digits) + "-" + _some(12, string.digits) + "-" + _some(24)),
        ("slack webhook", "https://hooks.slack.com/services/@@", "T" + _upper(9) + "/B" + _upper(9) + "/" + _some(24)),
        ("discord token", "@@", "M" + _some(25) + "." + _some(6) + "." + _some(38)),
        ("telegram token", "@@", "1234567890:AA" + _some(33)),
        ("stripe key", "@@", "sk_live_" + _some(24)),
        ("stripe webhook secret", "@@", "whsec_" + _some(32)),
        ("twilio key", "@@", "SK" + _hex(32)),
        ("sendgrid key", "@@", "SG." + _some(22) + "." + _some(43)),
        ("mailgun key", "@@", "key-" + _hex(32)),
        ("shopify token", "@@", "shpat_" + _hex(32)),
        ("square token", "@@", "sq0atp-" + _some(22)),
        ("linear key", "@@", "lin_api_" + _some(40)),
        ("notion token", "@@", "ntn_" + _some(46)),
        ("figma token", "@@", "figd_" + _some(40)),
        ("grafana token", "@@", "glsa_" + _some(32) + "_" + _hex(8)),
        ("vault token", "@@", "hvs." + _some(90)),
        ("databricks token", "@@", "dapi" + _hex(32)),
        ("supabase key", "@@", "sbp_" + _hex(40)),
        ("tailscale key", "@@", "tskey-auth-" + _some(12) + "-" + _some(32)),
        ("age key", "@@", "AGE-SECRET-KEY-1" + _upper(58)),
        ("jwt", "@@", _jwt_text),
        ("rsa private key", "@@", _rsa),
        ("openssh private key", "@@", _openssh),
        ("password in a url", "postgres://app:@@@db.internal:5432/x", _some(16)),
        ("bearer in a text", "curl -H 'Authorization: Bearer @@' x", _some(40)),
        ("basic in a text", "Authorization: Basic @@", _some(28)),
        ("cookie in a text", "Cookie: sid=@@; theme=x", _some(32)),
        (".env assignment", "DATABASE_PASSWORD=@@", _some(18)),
        (".env assignment in quotes", 'export STRIPE_SECRET="@@"', _some(22)),
        ("member of a JSON text", '{"client_secret": "@@"}', _some(30)),
        ("yaml password", "password: @@", _some(14)),
        ("email", "<@@>", "jane.doe+x@mail.example.co"),
        ("phone", "call @@ now", "+44 20 7946 0958"),
        ("phone of the United States", "call @@ now", "(415) 555-2671"),
        ("social security number", "SSN @@.", "078-05-1120"),
        ("credit card", "card @@ exp", "4111 1111 1111 1111"),
        ("credit card of other length", "card @@ exp", "378282246310005"),
        ("IPv4 address", "host @@ up", "203.0.113.77"),
        ("IPv6 address", "host @@ up", "2001:db8:85a3::8a2e:370:7334"),
        ("own pattern", "badge @@ found", "EMP-" + _some(8, string.digits)),
    ]
}
OWN_PATTERN = r"\bEMP-\d{8}\b"
EVERYTHING = "\n".join(f"{number}. {text}" for number, (text, _) in enumerate(SECRETS.values()))
WINDOW = 10


def _latin_1() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 256 << 20
    return options


def _windows() -> dict[bytes, str]:
    """Every piece of each secret that is `WINDOW` characters long → its kind."""
    windows: dict[bytes, str] = {}
    for kind, (_, secret) in SECRETS.items():
        # The public beginning of a form says nothing; the rest must be nowhere, not even in part.
        start = 0 if len(secret) < 26 else min(16, len(secret) - 20)
        for line in secret[start:].split("\n"):
            if not line.startswith("-----"):
                pieces = (line[at : at + WINDOW] for at in range(max(1, len(line) - WINDOW + 1)))
                windows |= {piece.encode(): kind for piece in pieces if len(piece) >= 9}
    return windows


_WINDOWS = _windows()
_ANY = re2.compile(b"|".join(re2.escape(window) for window in _WINDOWS), _latin_1())


def leaked(disk: bytes) -> dict[str, str]:
    """Kind → a piece of it that is in these bytes. JSON's escapes are undone first."""
    plain = disk.replace(b"\\/", b"/").replace(b"\\u0040", b"@").replace(b"\\u002b", b"+").replace(b"\\n", b"\n")
    hits = {match[0] for match in _ANY.finditer(plain)}
    return {_WINDOWS[hit]: hit.decode() for hit in hits}


def pieces(text: str, size: int = 7) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def sse(events: list[dict[str, Any]], *, named: bool = False) -> bytes:
    lines = (f"event: {event['type']}\n" if named else "" for event in events)
    return "".join(f"{name}data: {json.dumps(event)}\n\n" for name, event in zip(lines, events, strict=True)).encode()
