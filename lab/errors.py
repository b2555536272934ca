"""The one exception of the lab that a person reads: subject and fact, cause, and one way out."""

from __future__ import annotations

EXIT_OK = 0
EXIT_FINDINGS = 1  # findings, or a process failed
EXIT_BROKEN = 2  # usage, config or internal
EXIT_TIMEOUT = 3
EXIT_INTERRUPTED = 130


class LabError(Exception):
    """What went wrong (`message`), why (`cause`), what to do (`hint`), and a name for scripts (`code`)."""

    def __init__(
        self,
        message: str,
        cause: str | None = None,
        hint: str | None = None,
        code: str = "failed",
        exit_code: int = EXIT_BROKEN,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint
        self.code = code
        self.exit_code = exit_code

    def document(self) -> dict[str, str | None]:
        """The error as `--json` shows it."""
        return {"code": self.code, "message": self.message, "cause": self.cause, "hint": self.hint}
