"""[io] The read side: lists from the index, transcripts from the session files. Nothing here can write."""
