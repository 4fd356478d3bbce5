"""What runs inside a trial's pod or process: data, training, evaluation, report.

`python -m coref_k8s.trial` reads an `Order` and does it. The rooms, in the order of a trial's life:
`main` (order, exit codes), `job` (one trial from order to result), `batches` and `masking` (data),
`optimiser`, `training` (the loop), `checkpoint` (surviving a preemption), `evaluating` (scores).
Needs the `trial` extra.
"""
