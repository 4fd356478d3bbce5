"""Text: documents with their chains, Korean morphology, tokenisers."""
