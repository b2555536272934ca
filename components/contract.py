"""The app contract: a service supplies exactly the variables that its app's settings class reads."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, get_args

from pydantic import SecretBytes, SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_settings import BaseSettings


class AppContractError(ValueError):
    """A service and its app disagree on the environment; the message names every variable concerned."""


def variables(settings: type[BaseSettings]) -> dict[str, bool]:
    """Every variable that the settings class reads, and whether it is required."""
    prefix = settings.model_config.get("env_prefix", "")
    return {f"{prefix}{name}".upper(): field.is_required() for name, field in settings.model_fields.items()}


def secret_variables(settings: type[BaseSettings]) -> set[str]:
    """The variables whose field is a secret type: they may come from a parameter or a secret only."""
    prefix = settings.model_config.get("env_prefix", "")
    return {
        f"{prefix}{name}".upper()
        for name, field in settings.model_fields.items()
        if _holds_secret(field.annotation)
    }


def check(
    settings: type[BaseSettings], *, service: str, literals: Iterable[str], secrets: Iterable[str] = ()
) -> None:
    """Raise `AppContractError` that names every missing, stray and exposed variable of the service."""
    known = variables(settings)
    plain, hidden = set(literals), set(secrets)
    supplied = plain | hidden
    problems = [
        f"missing: {name} (required by {settings.__name__})"
        for name, required in known.items()
        if required and name not in supplied
    ]
    problems += [_stray(name, known, settings) for name in sorted(supplied - known.keys())]
    problems += [
        f"exposed: {name} is a secret and came as a literal; supply it by a link's `secrets`"
        for name in sorted(plain & secret_variables(settings))
    ]
    problems += [
        f"twice: {name} came as a literal and as a secret; keep one" for name in sorted(plain & hidden)
    ]
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise AppContractError(
            f"service {service}: environment does not fit {settings.__module__}.{settings.__name__}{lines}"
            "\nhint: link the component that gives the variable, or pass a literal in `environment`"
        )


def _stray(name: str, known: dict[str, bool], settings: type[BaseSettings]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    nearest = f"; nearest: {near[0]}" if near else ""
    return f"stray: {name} is read by no field of {settings.__name__}{nearest}"


def _holds_secret(annotation: Any) -> bool:
    if annotation in {SecretStr, SecretBytes}:
        return True
    return any(_holds_secret(argument) for argument in get_args(annotation))
