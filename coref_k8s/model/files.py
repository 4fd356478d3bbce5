"""What lies in a model's folder, looked at before a library reads it and fails in words of its own."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

from coref_k8s.errors import ModelError

#: What a folder with a tokeniser has one of.
TOKENISER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spm.model",
    "spiece.model",
)
#: What a folder with weights has one of: whole, or the list of the files that they are in.
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
#: How a file begins that git-lfs left in the place of the real one.
_POINTER = b"version https://git-lfs"


def check_files(folder: str) -> None:
    """Raise ModelError for a folder that was cloned without git-lfs: three lines of text stand for the weights."""
    if not Path(folder).is_dir():
        return
    for file in sorted(Path(folder).iterdir()):
        if file.suffix in (".safetensors", ".bin", ".json", ".model") and file.is_file():
            with file.open("rb") as content:
                if content.read(len(_POINTER)) == _POINTER:
                    raise ModelError("model.lfs-pointer", file=str(file))


def check_weights_there(folder: str) -> None:
    """Raise ModelError for a model's folder without weights, or with a pointer of git-lfs in their place."""
    check_files(folder)
    if not any((Path(folder) / name).is_file() for name in _WEIGHTS):
        raise ModelError("model.no-weights-file", model=folder)


def first_line(error: Exception) -> str:
    """Return the first line of what a library says, or its kind when it says nothing or a mere key."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, UnpicklingError):  # torch advises to run whatever code the file holds
        return f"{type(error).__name__}: damaged, or no weights"
    said = said.partition("Bearer")[0]  # of a header that cannot be sent: what follows is the token
    return f"{type(error).__name__} {said}".strip() if isinstance(error, KeyError) or not said else said
