"""Long-sequence DeBERTa: an exact, memory-lean masked language model over the Hugging Face one.

Import from the modules: `load` (open a model), `loss` (masked-only head), `positions` (the range of
relative positions), `small` (a tiny random model). Needs the `trial` extra (torch, transformers).
"""
