"""Who is who in a text, from Python: python examples/resolve.py MODEL TEXT PAGE

MODEL is a study's (`demo-who`) or a folder. Writes a page for a browser and prints where the text begins.
"""

import sys
from pathlib import Path

from coref_k8s import Resolver

model, text, page = sys.argv[1:]
document = Resolver.from_pretrained(model)(Path(text).read_text(encoding="utf-8"), Path(text).stem)
Path(page).write_text(document.to_html(), encoding="utf-8")
print(*document.to_text(colour=sys.stdout.isatty()).splitlines()[:4], sep="\n")
print(f"\nThe whole text, for a browser: {page}")
