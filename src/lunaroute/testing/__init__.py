"""For the tests of packages that build on lunaroute: the contract of sinks, and events to try one with."""
