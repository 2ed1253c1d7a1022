"""An HTTP question + the state -> the answer: one module per family of routes, one table of all."""
