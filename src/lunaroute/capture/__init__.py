"""[pure] The vocabulary of what the relay saw; shared by relay, spool and assemble, nothing else in it."""
