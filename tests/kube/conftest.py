from tests.kube.fixtures import api, fake_only, kube, namespace

__all__ = ["api", "fake_only", "kube", "namespace"]
