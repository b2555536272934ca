"""Which types of the provider take tags: a list that comes with the pack, made from the provider's classes.

`python -m policies.taggable` writes it anew; it needs pulumi_aws, which the pack itself does not.
"""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from typing import Final

from policies.reader import canonical

TABLE: Final = Path(__file__).parent / "data" / "taggable.json"
# tags are given otherwise there: a list of blocks that says which instances get them
BLOCKS: Final = frozenset(("aws:autoscaling/group:Group",))

_TOKEN: Final = re.compile(r"super\(\w+, __self__\)\.__init__\(\s*'(aws:[\w/]+:\w+)'")
_TAGS: Final = re.compile(r"^class \w+Args:.*?^class ", re.MULTILINE | re.DOTALL)


@cache
def types() -> frozenset[str]:
    """The type tokens, in the one spelling that nodes have."""
    return frozenset(map(canonical, json.loads(TABLE.read_text(encoding="utf-8"))))


def of_the_provider() -> list[str]:
    """The same from the classes that are installed, by their text: importing them all takes a minute."""
    spec = importlib.util.find_spec("pulumi_aws")
    if spec is None or spec.origin is None:
        raise RuntimeError("pulumi_aws is not installed: make install")
    found: set[str] = set()
    for file in sorted(Path(spec.origin).parent.glob("*/*.py")):
        if file.name.startswith(("_", "get_", "outputs")):
            continue
        text = file.read_text(encoding="utf-8")
        token = _TOKEN.search(text)
        given = _TAGS.search(text)
        if token and given and "    def tags(self)" in given[0]:
            found.add(token[1])
    return sorted(found - BLOCKS)


def main() -> None:
    """Write the list."""
    TABLE.write_text(json.dumps(of_the_provider(), indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
