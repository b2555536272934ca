"""The hash of a build context: a tag that is known before the image is built."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TAG_LENGTH: Final = 16
_TOKENS: Final = re.compile(r"\*\*/?|\*|\?|[^*?]+")


class IgnoreRules:
    """`.dockerignore` as Docker reads it: the last matching line wins, `!` takes back, `**` crosses folders.

    https://docs.docker.com/build/concepts/context/#dockerignore-files
    """

    def __init__(self, text: str) -> None:
        """Lines, comments and blanks left out."""
        lines = [line.strip() for line in text.splitlines()]
        patterns = [line for line in lines if line and not line.startswith("#")]
        self._rules = [(_regex(line.removeprefix("!").strip("/")), line.startswith("!")) for line in patterns]
        self._keeps = [line.removeprefix("!").strip("/") for line in patterns if line.startswith("!")]

    def ignored(self, path: str) -> bool:
        """Whether a file stays out of the context; a rule on a folder counts for what is in it."""
        parts = path.split("/")
        candidates = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        verdict = False
        for pattern, keep in self._rules:
            if any(pattern.fullmatch(candidate) for candidate in candidates):
                verdict = not keep
        return verdict

    def may_hold_files(self, folder: str) -> bool:
        """Whether anything below an ignored folder might be taken back by a later `!` line."""
        if not self.ignored(folder):
            return True
        return any(
            keep.startswith(f"{folder}/") or ("*" in keep.split("/", maxsplit=1)[0]) for keep in self._keeps
        )


def context_files(context: Path) -> list[Path]:
    """Every file that goes to the builder, in one order on every machine."""
    ignore_file = context / ".dockerignore"
    rules = IgnoreRules(ignore_file.read_text(encoding="utf-8") if ignore_file.is_file() else "")
    return sorted(_walk(context, rules), key=lambda path: path.relative_to(context).as_posix())


def context_hash(context: Path, dockerfile: Path, settings: Mapping[str, str]) -> str:
    """Names, contents and execute bits of the context, the Dockerfile and the build settings, as a tag."""
    if not dockerfile.is_file():
        raise FileNotFoundError(f"no Dockerfile at {dockerfile}; hint: image.build.dockerfile names it")
    digest = hashlib.sha256()
    for name, value in sorted(settings.items()):
        digest.update(f"{name}={value}\0".encode())
    digest.update(_content(dockerfile))
    for path in context_files(context):
        mode = "x" if os.access(path, os.X_OK) else "-"
        digest.update(f"{path.relative_to(context).as_posix()}\0{mode}\0".encode())
        digest.update(_content(path))
    return digest.hexdigest()[:TAG_LENGTH]


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return str(path.readlink()).encode()
    return hashlib.sha256(path.read_bytes()).digest()


def _walk(context: Path, rules: IgnoreRules) -> Iterator[Path]:
    for folder, folders, files in os.walk(context):
        here = Path(folder).relative_to(context)
        folders[:] = [name for name in folders if rules.may_hold_files((here / name).as_posix())]
        for name in files:
            if not rules.ignored((here / name).as_posix()):
                yield context / here / name


def _regex(pattern: str) -> re.Pattern[str]:
    translated = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile(
        "".join(translated.get(token) or re.escape(token) for token in _TOKENS.findall(pattern))
    )
