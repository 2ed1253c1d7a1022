"""Looking for many byte strings at once: values that are known, however they are written, and the
spots where a rule may hold."""
