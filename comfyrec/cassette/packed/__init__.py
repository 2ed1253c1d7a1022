"""The packed encoding (.crec): container, blocks, writing and reading."""
