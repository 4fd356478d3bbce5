"""How much fits: the sequence-length memory table, peak memory, batch x accumulation, pod resources."""
