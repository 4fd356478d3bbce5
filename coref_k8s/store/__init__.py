"""The durable record besides Optuna's: studies and attempts, in the same database."""
