"""chance -> examples: hypothesis strategies for graphs, events, legal streams and faulty ones."""
