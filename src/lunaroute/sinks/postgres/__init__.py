"""[io] The same tables in PostgreSQL, for recorders of several machines."""
