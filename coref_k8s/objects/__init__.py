"""Object storage in the place of a shared volume: whole folders, kept under one address and brought to where work is done.

`Place` keeps folders (`s3://`, `gs://`, `az://`, or a folder of this machine); `Mirror` is a data folder and what of it
is kept there. Nothing else of the house knows of object storage: it works on files.
"""

from coref_k8s.objects.mirror import Mirror
from coref_k8s.objects.place import Place

__all__ = ["Mirror", "Place"]
