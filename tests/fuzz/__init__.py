"""Every reader of bytes from outside, fed with what nobody should send. Short by default; `make fuzz` for long."""
