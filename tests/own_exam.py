"""A provider of a user's own sits the exam: `pytest --provider path/to/file.py:ClassName`.

Beside file.py may stand file_service.py with what the service is known to answer, as a SERVICE like
those of tests/services, and file.jsonl with requests for it.
"""

import runpy
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import services

import providers
from request_engine import own_provider
from request_engine.errors import BadInput
from request_engine.provider import Provider


class OwnExam:
    """Which tests are about the user's own provider."""

    def __init__(self, told: str) -> None:
        """Join the class that *told* names to those that are examined."""
        try:
            self.provider = own_provider.load(told)
        except BadInput as wrong:
            raise pytest.UsageError(str(wrong)) from None
        self._service = _service(Path(told.rpartition(":")[0]))
        taken = {name for one in providers.PROVIDERS for name in (one.name, *one.aliases)}
        if self.provider.name in taken:
            raise pytest.UsageError(f"--provider {told}: its name belongs to one of ours")
        providers.PROVIDERS = _before_last(providers.PROVIDERS, self.provider)
        there = ModuleType(f"services.{self.provider.name}")
        there.SERVICE = self._service
        sys.modules[there.__name__] = there

    def asks(self, item: pytest.Item) -> bool:
        """Whether *item* is about this provider, or about all of them together."""
        if not hasattr(item, "callspec"):
            return True
        about = item.callspec.params.values()
        return any(
            one is self.provider or one == self.provider.name or one in self._service.look_alikes
            for one in about
        )


def _service(path: Path) -> services.Service:
    beside = path.with_name(f"{path.stem}_service.py")
    known = runpy.run_path(str(beside))["SERVICE"] if beside.exists() else services.Service()
    requests = [
        one
        for one in sorted(path.parent.glob(f"{path.stem}*.jsonl"))
        if not one.stem.endswith(("_results", "_errors"))
    ]
    return replace(known, examples=tuple(requests))


def _before_last(every: tuple[Provider, ...], own: Provider) -> tuple[Provider, ...]:
    return (*every[:-1], own, every[-1])
