"""A bare training loop for the coreference head, for tests and benchmarks."""

import time

import torch

from coref_k8s.coref.finishing import AtRest, WholeDocuments
from coref_k8s.coref.prediction import link_gold, predict
from coref_k8s.coref.training import Batches, loss
from coref_k8s.evaluation.coreference import score_documents


def fit(
    model,
    documents,
    *,
    steps,
    windows=4,
    encoder_rate=1e-4,
    head_rate=5e-4,
    bf16=False,
    frozen=0,
    seed=0,
    log=None,
    every=20,
):
    """Train for `steps` batches; returns the CPU seconds that it took."""
    begun = time.process_time()
    torch.manual_seed(seed)
    freeze(model.encoder, frozen)
    groups = []
    for module, rate in ((model.encoder, encoder_rate), (model.head, head_rate)):
        parameters = [p for p in module.parameters() if p.requires_grad]
        for decayed in (True, False):
            chosen = [p for p in parameters if (p.ndim >= 2) == decayed]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "peak": rate, "weight_decay": 0.01 * decayed})
    optimiser = torch.optim.AdamW(groups, fused=True)
    warmup = max(1, steps // 10)
    model.train()
    sums = torch.zeros(3)
    batches = Batches(documents, window=model.window, windows=windows, seed=seed)
    for step in range(steps):
        batch = batches.step(step)
        factor = min((step + 1) / warmup, (steps - step) / (steps - warmup))
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            losses = loss(model, batch)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        sums += torch.stack([losses.starts, losses.ends, losses.links]).detach().float()
        if log and (step + 1) % every == 0:
            starts, ends, links = (sums / every).tolist()
            log(
                f"step {step + 1} starts {starts:.3f} ends {ends:.3f} links {links:.3f} {time.process_time() - begun:.0f} s"
            )
            sums.zero_()
    model.eval()
    return time.process_time() - begun


def finish(model, documents, *, passes, rate=5e-4, dropout=0.3, bf16=False, seed=0, log=None):
    """Train the head alone on whole documents; returns the CPU seconds that it took."""
    begun = time.process_time()
    torch.manual_seed(seed)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        resting = AtRest(model, documents, seed=seed)
    for module in model.head.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    optimiser = torch.optim.AdamW(model.head.parameters(), lr=rate, weight_decay=0.01)
    whole = WholeDocuments(documents, seed=seed)
    batches = [batch for number in range(passes) for batch in whole.of_pass(number)]
    model.train()
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = rate * min((step + 1) / 20, (len(batches) - step) / len(batches))
        losses = loss(resting, batch)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(model.head.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    model.eval()
    if log:
        log(f"finished in {time.process_time() - begun:.0f} s, last loss {losses.total.item():.3f}")
    return time.process_time() - begun


def freeze(encoder, layers):
    """Leave the embeddings and the lowest layers as they are."""
    if layers:
        for module in (encoder.embeddings, *encoder.encoder.layer[:layers]):
            module.requires_grad_(False)


def evaluate(model, documents, encoded, *, bf16=False, full=True):
    """Score whole documents end to end and on gold mentions."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        answers = [predict(model, one).chains(one, model.config.singletons) for one in encoded]
        linked = [
            link_gold(model, one, [(start, end) for start, end, _ in document.mentions()])
            for document, one in zip(documents, encoded, strict=True)
        ]
    return score_documents(documents, answers, linked=linked, full=full, singletons=model.config.singletons)
