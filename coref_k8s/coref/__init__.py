"""Coreference: a head over any encoder, documents longer than its window, chains of raw text.

`resolver` is what is used from outside; `training` what a trial trains; `head` has the model and its papers.
"""
