"""What is told to the outside while things run: the event bus and the metrics."""
