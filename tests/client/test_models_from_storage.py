"""Models of studies whose files are kept in object storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from coref_k8s.client.models import model_folder
from coref_k8s.objects import Place
from coref_k8s.settings import Settings
from coref_k8s.study.paths import MODEL_FILE


def test_a_model_in_object_storage_is_found_wherever_the_data_folder_is_shown_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are shown relative to where the user is; what is kept is named relative to the data folder."""
    trial = tmp_path / "trial"
    (trial / "model").mkdir(parents=True)
    (trial / "model" / MODEL_FILE).write_bytes(b"weights")
    (trial / "result.json").write_bytes(b"{}")
    uri = f"file://{tmp_path}/store"
    Place(uri).put("studies/korean/128/0", trial)
    monkeypatch.setenv("COREF_OBJECT_STORE", uri)
    monkeypatch.setenv("COREF_DATA_DIR", str(tmp_path / "laptop"))
    monkeypatch.chdir(tmp_path)
    found = model_folder("korean/128/0", Settings.from_env())
    assert (found / MODEL_FILE).read_bytes() == b"weights"
    assert found == tmp_path / "laptop/studies/korean/128/0/model"
