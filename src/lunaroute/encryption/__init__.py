"""Encryption at rest (ADR 29): whatever holds what was said is sealed before it is written.

keyring  [pure] keys → sealed bytes and back: XChaCha20-Poly1305 of libsodium, a random nonce each
keys     [io]   which keys this process has: from the environment, or a file
lines    [pure] a line of text ↔ a sealed line of text; a value ↔ a sealed value
blocks   [io]   a file of sealed blocks that is read like any other, from any place
"""
