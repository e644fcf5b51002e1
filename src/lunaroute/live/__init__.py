"""What is happening right now, from the recorder to whoever watches: a local socket, and what passes over it."""
