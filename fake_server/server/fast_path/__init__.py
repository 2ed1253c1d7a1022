"""A quicker reader for plain requests; whatever is not plain goes to aiohttp."""
