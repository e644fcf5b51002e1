"""Recordings that were made elsewhere, brought in: clients' own transcripts, and sessions of another home."""
