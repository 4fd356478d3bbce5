from tests.kube.fixtures import api, fake_only, kube, kubelet, namespace

__all__ = ["api", "fake_only", "kube", "kubelet", "namespace"]
