"""A real Prometheus on loopback that scrapes given ports."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.ports import free_port

RULES = Path(__file__).parents[2] / "charts/coref-k8s/rules/coref-k8s.yaml"


@contextmanager
def prometheus(folder: Path, targets: list[int]) -> Iterator[Prometheus]:
    """Run Debian's Prometheus with our rules, scraping once a second."""
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "coref-k8s",
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in targets]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    port = free_port()
    log = (folder / "prometheus.log").open("wb")
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        yield Prometheus(port, process, folder / "prometheus.log")
    finally:
        process.terminate()
        process.wait(30)
        log.close()


class Prometheus:
    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/"
        self._process, self._log = process, log

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query; none while Prometheus is starting."""
        assert self._process.poll() is None, self._log.read_text()
        url = f"{self._url}query?{urllib.parse.urlencode({'query': expression})}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return found
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return []
            raise AssertionError(f"{expression}: {error.read().decode()}") from None
        except OSError:
            return []

    def until(self, expressions: list[str], seconds: float) -> list[str]:
        """Wait until every expression has data; return those that have none."""
        end, left = time.monotonic() + seconds, expressions
        while left and time.monotonic() < end:
            left = [one for one in left if not self.query(one)]
            if left:
                time.sleep(0.5)
        return left

    def until_none(self, expressions: list[str], seconds: float) -> list[str]:
        """Wait until no expression has data any more; return those that still have."""
        end, left = time.monotonic() + seconds, expressions
        while left and time.monotonic() < end:
            left = [one for one in left if self.query(one)]
            if left:
                time.sleep(0.5)
        return left
