"""[pure] Secrets and personal data out of what was recorded, before anything else sees it.

In: an exchange as it was assembled. Out: the same exchange without what the rules find in its heads and bodies, and a
`Redaction` that says what was done. Nothing here is known to the relay: what passes is never changed.

Where things are: `rules`, `surroundings` and `personal` say what is looked for, as data; `accept` holds the checks that
no pattern can make (Luhn); `finder` finds; `unescape` and `encoded` see through JSON's escapes and base64; `fragments`
joins what a stream brings in pieces; `replacement` says what is put in its place; `body` puts it there; `framed` and
`exchange` do all of that to what the relay saw. Always holds: JSON stays JSON, a stream's events stay events, and each
read keeps its time.
"""
