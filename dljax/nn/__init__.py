"""Building blocks that know no task: layers with their definitions, and networks made of them."""
