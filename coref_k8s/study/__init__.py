"""The request: `StudySpec`, its parameters, the names and paths of what it becomes, and how it is read."""

from coref_k8s.study.spec import DatasetConfig, DataSpec, StudySpec

__all__ = ["DataSpec", "DatasetConfig", "StudySpec"]
