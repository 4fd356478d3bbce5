"""Text: sources, quality, chunks, sampling, and the prepared data that trials read."""
