"""A coreference model that has learnt nothing, and yet finds as many mentions as one that has."""

import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from coref_k8s.coref.encoded import encode_document
from coref_k8s.coref.model import new_model
from coref_k8s.coref.training import LIKELY
from coref_k8s.coref.windows import overlapping
from coref_k8s.corpus.people import generate_people
from coref_k8s.corpus.shipped import shipped_tokenizer
from coref_k8s.text.document import Document

#: Shape of multilingual-e5-small: the measure of what resolving costs beside an encoder of real size.
SMALL = {"num_hidden_layers": 12, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
#: A trained model gives ends to about one token in five, and finds a mention in every eighth.
STARTS, MENTIONS = 1 / 5, 1 / 8


def save_encoder(folder, *, positions=512, **sizes):
    """Write a BERT with random weights and the shipped tokeniser."""
    tokenizer = AutoTokenizer.from_pretrained(shipped_tokenizer())
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=positions, **sizes)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def untrained_model(encoder, seq_len):
    """Return a model whose biases make it find a realistic number of mentions in generated text."""
    torch.manual_seed(0)
    model = new_model(str(encoder), seq_len).eval()
    (story,) = generate_people(1, lengths=[2000], seed=2)
    document = encode_document(
        Document("x", story.text), model.tokenizer, model.config.trims, model.longest_sentence
    )
    head = model.head
    with torch.no_grad():
        starts, spans = [], []
        for window in overlapping(document, model.window):
            (states,) = model.encode([window])
            starts.append((states, head.start_logits(states), window))
        logits = torch.cat([one[1] for one in starts])
        edge = logits.quantile(1 - STARTS)
        head.start[-1].bias += torch.logit(torch.tensor(LIKELY)) - edge
        for states, own, window in starts:
            for first, stop in (window.sentences - window.start).tolist():
                begins = [at for at in range(first, stop) if own[at] > edge]
                rows = torch.tensor([(at, end) for at in begins for end in range(at, stop)], dtype=torch.long)
                spans.append(head.end_logits(states, *rows.reshape(-1, 2).T))
        ends = torch.cat(spans)
        wanted = int(MENTIONS * len(document))
        head.end[-1].bias += torch.logit(torch.tensor(0.25)) - ends.sort(descending=True).values[wanted]
    return model
