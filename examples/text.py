"""Certify which words a language model goes by: occlusion of words, with noise in the space of their embeddings.

Run: python examples/text.py  (needs transformers; fetches 95 MB once)

A certificate is about moves of the embeddings. No other word lies within it: the example prints how far the nearest
ones are. See docs/sequences.md.
"""

from dataclasses import dataclass

import numpy as np
import torch
import transformers
from real_data import sentence_model, tweets
from torch import nn

import attricert as ac

SENTENCE = "a boring plot but a wonderful cast"
SIGMA = 0.06  # noise on each number of an embedding; 0.06 * sqrt(384) = 1.2 is what it has for each word


class Sentiment(nn.Module):
    """MiniLM's mean over tokens, and a linear head: scores of bad and good, from embeddings (n, tokens, 384)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(384, 2)

    def features(self, embedded: torch.Tensor) -> torch.Tensor:
        """The sentence's vector, of length 1."""
        return nn.functional.normalize(self.encoder(inputs_embeds=embedded).last_hidden_state.mean(dim=1))

    def forward(self, embedded: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(embedded))


@dataclass(frozen=True)
class WordOcclusion:
    """By how much the target's score falls when [MASK] stands for a word: maps (n, words) of inputs (n, tokens, 384).

    The first and the last token are no words.
    """

    model: nn.Module
    mask: torch.Tensor

    @torch.no_grad()
    def __call__(self, inputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        n, tokens, _ = inputs.shape
        without = inputs[:, None].repeat(1, tokens - 2, 1, 1)
        words = torch.arange(tokens - 2)
        without[:, words, words + 1] = self.mask.to(inputs)
        scores = self.model(without.flatten(0, 1)).unflatten(0, (n, tokens - 2))
        rows = torch.arange(n)
        return self.model(inputs)[rows, target][:, None] - scores[rows, :, target]


def balanced(texts: list[tuple[str, float]], count: int) -> list[tuple[str, float]]:
    """Short ones that people agreed on, good and bad in turn."""
    short = sorted({(text, rating) for text, rating in texts if abs(rating) > 1 and len(text) < 60}, reverse=True)
    good, bad = ([pair for pair in short if (pair[1] > 0) == is_good] for is_good in (True, False))
    return [pair for both in zip(good, bad, strict=False) for pair in both][:count]


def trained(model: Sentiment, features: torch.Tensor, labels: torch.Tensor) -> None:
    """Fit the head."""
    optimizer = torch.optim.LBFGS(model.head.parameters(), max_iter=50)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = nn.functional.cross_entropy(model.head(features), labels) + 1e-3 * model.head.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)


def main(sentence: str = SENTENCE, n_texts: int = 240, n_samples: int = 200) -> ac.Certificate:
    """Train the head, certify the sentence's map, and compare what is certified with the distance of other words."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    folder = sentence_model()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder = transformers.BertModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False).eval()
    words = encoder.embeddings.word_embeddings.weight.detach()

    def embed(text: str) -> torch.Tensor:
        return words[tokenizer(text, return_tensors="pt")["input_ids"]]

    torch.manual_seed(0)
    model = Sentiment(encoder).eval()
    texts = balanced(tweets(), n_texts)
    with torch.no_grad():
        features = torch.cat([model.features(embed(text)) for text, _ in texts])
    labels = torch.tensor([int(rating > 0) for _, rating in texts])
    held_out = n_texts // 3
    trained(model, features[held_out:], labels[held_out:])
    right = int((model.head(features[:held_out]).argmax(dim=1) == labels[:held_out]).sum())
    print(f"{right} of {held_out} held-out texts are told right")

    x = embed(sentence)
    ids = tokenizer(sentence)["input_ids"]
    # What marks beginning and end is not the writer's to change: no noise there, and no move. So would be padding.
    special = torch.tensor([number in tokenizer.all_special_ids for number in ids])
    smoothed = ac.SmoothedAttribution(
        WordOcclusion(model, words[tokenizer.mask_token_id]),
        ac.Gaussian(SIGMA),
        classifier=model,
        fixed=special[:, None].expand(-1, x.shape[2]),
    )
    target = model(x).argmax(dim=1)
    certificate = smoothed.certify(x, target, n_samples=n_samples, seed=0)

    eps = np.floor(1000 * certificate.max_eps(cosine=0.9)[0]) / 1000  # a lower bound, so rounded down
    print(f"Why {('bad', 'good')[int(target)]}: cosine 0.9 for every move of the embeddings of l2 size up to {eps:.3f}")
    tokens = tokenizer.convert_ids_to_tokens(range(len(words)))
    spelled = torch.tensor([token.isascii() and token.isalpha() for token in tokens])
    for number, value in zip(ids[1:-1], certificate.maps[0], strict=True):
        distances = (words - words[number]).norm(dim=1).where(spelled, torch.inf)
        distances[number] = torch.inf
        nearest = int(distances.argmin())
        word, other = tokens[number], tokens[nearest]
        print(f"{word:>12} {value:+.3f}   the nearest word, {other}, is {distances[nearest]:.2f} away")
    return certificate


if __name__ == "__main__":
    main()
