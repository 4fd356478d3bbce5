"""A trial that takes no training and reports as the real one does: with our own store and reporter, to any database."""

from coref_k8s.search.reporting import TrialReporter
from coref_k8s.settings import Settings
from coref_k8s.store import Store
from coref_k8s.study.names import Kind
from coref_k8s.study.order import Order

settings = Settings.from_env()
order = Order.model_validate_json(settings.order)
if order.kind is Kind.PREPARE:
    store = Store(settings.storage_url)
    store.set_prepared(order.namespace, order.study, "prepared/abc", {"documents": 3})
else:
    reporter = TrialReporter(settings.storage_url, order.trial_id)
    score = 1.0 / (1.0 + abs(order.params["weight_decay"] - 0.05))
    reporter.report(1, score / 2, {"coref_f1": score / 2})
    reporter.result(score, {"coref_f1": score})
