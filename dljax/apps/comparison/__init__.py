"""Several runs side by side: what they left behind, as a table and a page."""
