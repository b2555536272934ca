"""Resource types that the pack does not know: nothing of their own is proved, and a report says so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from lab.model import Graph
from policies import pack
from policies.reader import canonical, token

_TOKEN: Final = re.compile(r"[\"']([a-z0-9-]+:[A-Za-z0-9/]+:[A-Za-z0-9]+)[\"']")
_SHORTENED: Final = re.compile(r"\btokens?\(([^)]*)\)")  # tokens("s3/Bucket", "rds/Instance")
_SHORT: Final = re.compile(r"[\"']([a-z0-9]+/[A-Z][A-Za-z0-9]*)[\"']")


def unseen(graph: Graph) -> Mapping[str, int]:
    """How many resources there are of each type that the pack names nowhere.

    Controls of every resource (tags) may have judged them; none knows what their properties mean.
    """
    known = _named()
    counts = Counter(
        resource.type
        for resource in graph
        if resource.custom and not resource.is_provider and canonical(resource.type) not in known
    )
    return dict(sorted(counts.items()))


@lru_cache(maxsize=1)
def _named() -> frozenset[str]:
    """Every type that the pack's own text names: a list kept by hand would forget one."""
    folder = Path(pack.__file__).parent
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py")))
    shortened = "".join(_SHORTENED.findall(text))
    named = [*_TOKEN.findall(text), *(token(short) for short in _SHORT.findall(shortened))]
    named.extend(type_ for control in pack.controls() for type_ in control.applies_to)
    return frozenset(canonical(each) for each in named)
