"""Secrets that are known by what stands before them: a name that says so, a scheme, a place in a URL."""

from __future__ import annotations

from .rule import QUOTE, SPACE, START, Rule

_NAME = (
    rb"(?:pass(?:word|wd|phrase)|pwd|secret|[a-z0-9][_.-]token|[a-z]Token|credentials?|"
    rb"(?:api|access|auth|secret|private|signing|encryption|master|account|shared|storage|subscription|client|service|"
    rb"license|webhook|ssh|deploy|admin|session)[_.-]?(?:key|token|secret|password)|"
    rb"(?:access|secret)[_.-]?key[_.-]?id|connection[_.-]?string)"
    rb"(?:[_.-](?:value|base64|b64|prod|dev|test|\d{1,3})){0,2}"
)
"""What is called so, or ends so, holds a secret."""
_PLAIN_NAME = rb"(?:password|passwd|api[_-]?key|secret[_-]?key|client[_-]?secret|access[_-]?token)"
"""… even where its value stands without quotes."""
_VARIABLE = (
    rb"[A-Z0-9_]{0,60}(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PWD|CREDENTIALS?|PAT|DSN|COOKIE)"
    rb"(?:_[A-Z0-9]{1,16}){0,2}"
)
_MAYBE_QUOTE = rb"(?:" + QUOTE + rb")?"
_QUOTED = QUOTE + rb"([^\"'`\\\r\n]{4,})"
_UNQUOTED = rb"([^\s\"'`\\,;(){}\[\]<>]{8,})"
_IS = SPACE + rb"{0,8}[:=]>?" + SPACE + rb"{0,8}"
_SHORT_IS = rb" {0,4}(?:=>?|:=|:) {0,4}"

SURROUNDINGS = (
    Rule(
        "aws_secret_key",
        rb"(?i:aws.{0,30}?(?:secret|session|security)[a-z_.-]{0,30})"
        + _MAYBE_QUOTE
        + _IS
        + _MAYBE_QUOTE
        + rb"([A-Za-z0-9+/]{40,}={0,2})",
    ),
    Rule(
        "url_password",
        rb"[a-zA-Z][a-zA-Z0-9+.-]{1,30}:(?:\\{0,7}/){2}[^\s/:@\"'\\<>]{0,200}:([^\s/@\"'\\<>]{3,300})@",
        accept="not_a_placeholder",
    ),
    Rule(
        "bearer",
        rb"(?i:" + START + rb"bearer)" + SPACE + rb"{1,8}([A-Za-z0-9._~+/-]{16,}={0,2})",
        accept="has_digit",
    ),
    Rule(
        "basic",
        rb"(?i:authorization)"
        + _MAYBE_QUOTE
        + _SHORT_IS
        + _MAYBE_QUOTE
        + rb"(?i:basic) {1,4}([A-Za-z0-9+/]{8,}={0,2})",
    ),
    Rule(
        "cookie",
        rb"(?i:" + START + rb"(?:set-)?cookie) {0,2}: {0,4}"
        rb"([A-Za-z0-9_.-]+=[^\s\"'\\]{8,}(?:; ?[^\s\"'\\]+)*)",
    ),
    Rule(
        "environment",
        START + _VARIABLE + _SHORT_IS + rb"(?:([^\s\"'`\\,;)}\]]{6,})|" + _QUOTED + rb")",
        accept="not_a_placeholder",
    ),
    Rule("assigned", rb"(?i:" + _NAME + rb")" + QUOTE + _IS + _QUOTED, accept="not_a_placeholder"),
    Rule("assigned", rb"(?i:" + _NAME + rb")" + _SHORT_IS + _QUOTED, accept="not_a_placeholder"),
    Rule("assigned", rb"(?i:token)" + _MAYBE_QUOTE + _IS + QUOTE + rb"([^\"'`\\\s]{16,})", accept="is_random"),
    Rule("assigned", START + rb"(?i:" + _PLAIN_NAME + rb")" + _SHORT_IS + _UNQUOTED, accept="is_random"),
)
