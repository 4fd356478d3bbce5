"""A study as one HTML file that works from disk."""
