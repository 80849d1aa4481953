"""Which names MLflow takes for an alias, known without MLflow, which takes seconds to load."""

from __future__ import annotations

import re

from stages.errors import ConfigError

LONGEST = 255  # characters
_NAME = re.compile(r"[\w-]+")
_RESERVED = re.compile(r"latest|v[0-9]+", re.IGNORECASE)


def require_alias(name: str) -> None:
    """Lets only the names pass that MLflow takes for an alias.

    Source: `mlflow.utils.validation`.

    Raises:
        ConfigError: it is reserved, such as `latest` or `v3`, or has characters none may have.
    """
    if _RESERVED.fullmatch(name):
        raise ConfigError(
            f"the alias {name!r} is reserved by MLflow, which means a version by it; choose another"
            " name, such as `champion`"
        )
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise ConfigError(
            f"the alias {name[:80]!r} is none that MLflow takes, expected up to {LONGEST} letters,"
            " digits, `_` and `-`; choose another name, such as `champion`"
        )
