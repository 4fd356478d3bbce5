"""Tunes long-sequence DeBERTa for Korean coreference, on Kubernetes or on one machine."""

__version__ = "0.1.0"
