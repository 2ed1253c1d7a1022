"""Which recorded prompt a submitted one stands for."""
