"""[io] Destinations of events: session files (the truth) and the index made from them."""
