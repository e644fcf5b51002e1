"""[io] The stores that can be asked, and what is different about each. All else of `query` is the same for all."""
