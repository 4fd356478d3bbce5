"""Logs of services as JSON, one object a line, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from coref_k8s.settings import masked_url


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger, message and, when there is one, the traceback; passwords in URLs are masked."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked_url(record.getMessage()),
        }
        for name in ("study", "namespace"):
            if hasattr(record, name):
                line[name] = getattr(record, name)
        if record.exc_info:
            line["traceback"] = masked_url(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def log_as_json(level: str = "info", stream: TextIO | None = None) -> None:
    """Send every logger's records of at least this level to `stream` (standard error) as JSON."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # connection pools report every retry, which the callers report in words already
    logging.getLogger("urllib3").setLevel(logging.ERROR)
