"""[pure] Records → exchanges: reassembly, content decoding, SSE parsing."""
