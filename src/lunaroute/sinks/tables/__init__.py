"""[pure] Events → rows of the tables that every store has, before any store is asked to keep them."""
