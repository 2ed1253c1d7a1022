"""The flight recorder: a recording in parts that can be read alone, of which only some are kept."""
