"""Providers that are not ours: the user's own in a file, and those that installed packages bring.

    --provider path/to/file.py:ClassName
    [project.entry-points."api_request_parallel_processor.providers"]    a package's pyproject.toml

What such a class derives from is had by `from api_request_parallel_processor import
OpenAICompatible`, in a checkout and in an installed copy alike.
"""

import importlib.util
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from request_engine.errors import BadInput
from request_engine.provider import Profile, Provider

log = logging.getLogger(__name__)

GROUP = "api_request_parallel_processor.providers"
BASE = "from api_request_parallel_processor import OpenAICompatible"

_LISTS = ("aliases", "hosts", "key_variables", "endpoints")
_ANSWERS = ("endpoint_of_body", "prompt_tokens", "completion_tokens", "usage")
"""What Provider itself does not answer."""

_file_and_class = re.compile(r"(.+\.py)(?::([^:/\\]*))?", re.IGNORECASE | re.DOTALL).fullmatch
_HOST = r"\.?[a-z0-9_][a-z0-9_.-]*|[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:]*"


def is_file(told: str) -> bool:
    """Whether *told* means a file, rather than a name; `C:` may be in its path."""
    return _file_and_class(told) is not None


def load(told: str) -> Provider:
    """The provider of the user's own that `path/to/file.py:ClassName` means.

    The file is read anew each time, and nothing is written beside it.
    """
    found = _file_and_class(told)
    if found is None:
        raise BadInput(f"--provider {told} is not path/to/file.py:ClassName")
    path, name = found.groups()
    module = _run(path)
    if not name or not hasattr(module, name):
        wrong = f"there is no class {name} in {path}" if name else f"{told} names no class"
        there = _classes(module)
        raise BadInput(f"--provider: {wrong}: write {_choice(path, there)}")
    try:
        return _made(getattr(module, name), name)
    except (Exception, SystemExit) as error:
        raise BadInput(_fault(path, error)) from error


def joined(providers: Sequence[Provider]) -> tuple[Provider, ...]:
    """*providers* with those of installed packages before the last one, which takes every URL.

    Looking for them takes milliseconds: ask only when nothing else fits.
    """
    return (*providers[:-1], *_installed(), providers[-1])


def _installed() -> list[Provider]:
    """One that cannot be made costs one line of the log, and no run."""
    from importlib.metadata import entry_points  # slow to import

    made = []
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            made.append(_made(point.load(), point.value))
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever others wrote
            package = point.dist.name if point.dist else "a package"
            log.warning("the provider %s of %s is left out: %s", point.name, package, _words(error))
    return made


def _run(path: str) -> ModuleType:
    """The module in the file *path*, without a compiled copy of it that would stay there."""
    try:
        source = importlib.util.decode_source(Path(path).read_bytes())
        code = compile(source, path, "exec", dont_inherit=True)
    except FileNotFoundError:
        raise BadInput(f"--provider: there is no file {path}") from None
    except OSError as error:
        raise BadInput(f"--provider: {path} cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:  # ValueError: not UTF-8, or a NUL
        raise BadInput(_fault(path, error)) from None
    module = ModuleType(f"the provider in {path}")
    module.__file__, module.__package__ = path, ""
    sys.modules[module.__name__] = module  # where dataclasses look for the names of a class
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise BadInput(_fault(path, error)) from error
    return module


def _made(found: object, name: str) -> Provider:
    """An instance of the class *found*. BadInput says what keeps it from being a provider."""
    if not (isinstance(found, type) and issubclass(found, Provider)):
        raise BadInput(f"{name} is not a provider: derive it from OpenAICompatible ({BASE})")
    unanswered = [one for one in _ANSWERS if getattr(found, one) is getattr(Provider, one)]
    if unanswered:
        raise BadInput(
            f"{name} has no {unanswered[0]}(): write it, or derive {name} from OpenAICompatible "
            f"({BASE})"
        )
    _check_facts(found, name)
    return found()


def _check_facts(found: type[Provider], name: str) -> None:
    word = getattr(found, "name", None)
    if not isinstance(word, str) or not re.fullmatch(r"[a-z0-9_]+", word):
        seen = f"its name is {word!r}" if word is not None else "it has no name"
        raise BadInput(f'{name}: {seen}, but it must be as in name = "example_cloud"')
    for fact in _LISTS:
        value = getattr(found, fact)
        if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
            raise BadInput(f"{name}: {fact} is {value!r}, but it must be as in ({_first(value)},)")
    wrong = next((one for one in found.hosts if not re.fullmatch(_HOST, one)), None)
    if wrong is not None:
        raise BadInput(
            f"{name}: among its hosts is {wrong!r}, but it must be a name alone and in small "
            "letters, as in api.example.com"
        )
    if not isinstance(found.profile, Profile):
        raise BadInput(f"{name}: profile is {found.profile!r}, but it must be a Profile")
    if not isinstance(found.base_url, str | None):
        raise BadInput(f"{name}: base_url is {found.base_url!r}, but it must be a URL or None")


def _first(value: object) -> str:
    return repr(value) if isinstance(value, str) else '"..."'


def _classes(module: ModuleType) -> list[str]:
    """The providers that the file itself defines."""
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Provider)
        and value.__module__ == module.__name__
    ]


def _choice(path: str, classes: list[str]) -> str:
    return " or ".join(f"{path}:{one}" for one in classes) or f"a class, and {path}:ItsName"


def _fault(path: str, error: BaseException) -> str:
    """What went wrong in the file *path*, and in which line of it."""
    if isinstance(error, BadInput):
        return f"--provider {path}: {error}"
    line = error.lineno if isinstance(error, SyntaxError) else _line(path, error)
    where = f"{path}, line {line}" if line else path
    return f"--provider {where}: {_words(error)}{_hint(error)}"


def _line(path: str, error: BaseException) -> int | None:
    """The innermost line of the file *path* that *error* came through."""
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == path:
            line = step.tb_lineno
        step = step.tb_next
    return line


def _words(error: BaseException) -> str:
    if isinstance(error, BadInput):
        return str(error)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(f"{type(error).__name__}: {text}".split()).rstrip(": ")


def _hint(error: BaseException) -> str:
    """Where the adapters are called depends on how we are installed, and so on nobody's file."""
    if not isinstance(error, ImportError) or (error.name and "providers" not in error.name):
        return ""
    return f"; what works everywhere is: {BASE}"
