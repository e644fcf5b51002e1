"""[io] What becomes of sessions that are over. In: their files. Out: smaller ones, copies elsewhere, or none.

Nothing here writes to a session that is not over: its file and its rows are the recorder's.
"""
