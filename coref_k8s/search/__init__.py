"""The search: space per length, samplers, pruners, warm start, and the Optuna study of each length."""
