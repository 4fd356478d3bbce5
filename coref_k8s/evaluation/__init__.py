"""Evidence: what a masked language model takes from its long context, and how sure that is.

Items are built once per document set (`items.build_items`) and stored with the prepared data; a model is
scored on them through a `logits_fn` (`evaluate.evaluate`). No model code is imported here.
"""
