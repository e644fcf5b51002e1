"""The demo's scripted agents: official SDKs at work on a pretended task, against whatever base URL they are
given."""
