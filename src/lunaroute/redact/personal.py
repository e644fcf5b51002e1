"""Personal data: what names or reaches a person."""

from __future__ import annotations

from .rule import START, Rule

_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PIECE = rb"[0-9a-fA-F]{1,4}"

PERSONAL_RULES = (
    Rule(
        "email",
        rb"([A-Za-z0-9._%+-]{1,64}(?:@|%40)(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})\b",
        "personal",
        "is_mailbox",
        0,
    ),
    Rule("ssn", START + rb"([0-9]{3}[- ][0-9]{2}[- ][0-9]{4})\b", "personal", "is_ssn"),
    Rule(
        "card",
        START + rb"((?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6[0-9]{3}|35[0-9]{2})(?:[ -]?[0-9]{4}){3}(?:[0-9]{3})?|"
        rb"3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}|3[068][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{4}|4[0-9]{12})\b",
        "personal",
        "is_card",
    ),
    Rule(
        "phone",
        rb"(\+[1-9][0-9]{0,2}[ .-]?(?:\([0-9]{1,5}\)[ .-]?)?[0-9]{1,5}(?:[ .-]?[0-9]{2,5}){1,5})\b",
        "personal",
        "is_phone",
        2,
    ),
    Rule("phone", rb"(\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .-][0-9]{4})\b", "personal", "is_phone", 2),
    Rule("phone", START + rb"([2-9][0-9]{2}([.-])[2-9][0-9]{2}[.-][0-9]{4})\b", "personal", "is_phone", 2),
    Rule("ip", START + rb"(" + _OCTET + rb"(?:\." + _OCTET + rb"){3})\b", "personal", "is_address", 0),
    Rule(
        "ip",
        START + rb"((?:" + _PIECE + rb":){7}" + _PIECE + rb"|(?:" + _PIECE + rb":){1,6}(?::" + _PIECE + rb"){1,6})\b",
        "personal",
        "is_address",
        0,
    ),
)
