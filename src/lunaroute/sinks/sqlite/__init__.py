"""[io] The index: `sessions.db`, which can be deleted and rebuilt from the session files at any time."""
