"""What the commands share: reading recordings, filters, safe and styled output."""
