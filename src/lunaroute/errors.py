"""Every exception this package raises on purpose.

LunarouteError
├── ConfigError       a setting is unknown or has a bad value; the message names the key
├── StartError        the server cannot start (port taken, home not writable); the message says what to do
├── SpoolCorrupt      bytes in a spool segment are not frames we wrote
├── NoKeyError        a recording is encrypted, and its key is not here
├── IndexTooNew       sessions.db was written by a newer program
├── NoSuchSession     no recorded session has this id or prefix
├── AmbiguousPrefix   several recorded sessions have this prefix
├── FilterError       a filter cannot be read, or names what was never recorded; the message has the nearest right thing
├── StoreUnavailable  a store on another machine cannot be reached, or does not take what it is given; try again
└── SqlRefused        a statement of `lunaroute sql` does not read, is wrong, or takes too long
"""


class LunarouteError(Exception):
    """Base of all; its text is one line meant for a person."""


class ConfigError(LunarouteError):
    """A setting is unknown or has a bad value."""


class StartError(LunarouteError):
    """The server cannot start."""


class SpoolCorrupt(LunarouteError):
    """Bytes in a spool segment are not frames this program wrote."""


class NoKeyError(LunarouteError):
    """A recording is encrypted, and this process does not have its key."""


class IndexTooNew(LunarouteError):
    """`sessions.db` has a schema version newer than this program knows."""


class NoSuchSession(LunarouteError):
    """No recorded session has this id or prefix."""


class AmbiguousPrefix(LunarouteError):
    """Several recorded sessions have this prefix."""


class FilterError(LunarouteError):
    """A filter cannot be read, or names what was never recorded."""


class SqlRefused(LunarouteError):
    """A statement given to the read-only console does not read, is wrong, or takes too long."""


class StoreUnavailable(LunarouteError):
    """A store cannot be reached or has refused; the same may succeed later."""
