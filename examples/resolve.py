"""Who is who in a text, from Python: python examples/resolve.py MODEL TEXT PAGE

MODEL is a study's (`demo-who`) or a folder. Writes a page for a browser and prints where the text begins.
"""

import sys
from pathlib import Path

from coref_k8s import Resolver
from coref_k8s.wording import locale_lang

model, text, page = sys.argv[1:]
lang = locale_lang()
document = Resolver.from_pretrained(model)(Path(text).read_text(encoding="utf-8"), Path(text).stem)
Path(page).write_text(document.to_html(lang), encoding="utf-8")
print(*document.to_text(colour=sys.stdout.isatty()).splitlines()[:4], sep="\n")
print(
    f"\n{'전체 글은 브라우저로 볼 수 있습니다' if lang == 'ko' else 'The whole text, for a browser'}: {page}"
)
