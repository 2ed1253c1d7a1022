"""What looks for the cause of a failure: the fact, or the one message, that breaks a client."""
