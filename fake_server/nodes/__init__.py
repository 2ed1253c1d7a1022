"""What is known of node classes: inputs and outputs, sizes, files, time, failures."""
