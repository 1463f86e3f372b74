"""The example pipelines and the pages about them do what they say, against the local endpoint."""

import asyncio
import importlib.util
import math
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from request_engine.local_endpoint import LocalEndpoint, Settings, serving

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
NAMES = ("judge", "rewards", "extraction", "corpus", "dataframe")
NEEDS = {
    "extraction": ["pydantic"],
    "corpus": ["numpy"],
    "dataframe": ["pandas", "polars"],
}
NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there."""
PAGES = ("judge", "rewards", "extraction", "embeddings")
LANGUAGES = ("", ".zh-CN")
URL = "http://127.0.0.1:8642"
"""The endpoint of the pages."""

fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@contextmanager
def endpoint(**settings: Any) -> Iterator[LocalEndpoint]:
    """One that runs in a thread, beside code that blocks."""
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, LocalEndpoint]]
    started = queue.Queue()

    async def serve() -> None:
        stop = asyncio.Event()
        async with serving(Settings(**settings)) as running:
            started.put((asyncio.get_running_loop(), stop, running))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, stop, running = started.get(timeout=10)
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def example(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, as if it had been started beside an endpoint."""
    for needed in NEEDS.get(name, ()):
        pytest.importorskip(needed, reason=f"examples/{name}.py needs {needed}")
    monkeypatch.setenv("LOCAL_ENDPOINT_URL", url)
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def client_of(module: ModuleType, **more: Any) -> Any:
    return module.Client(**module.SERVICE, **more)


# The commands.


@pytest.mark.skipif(shutil.which("sh") is None, reason="no sh")
@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_with_one_command_from_any_folder(name: str, tmp_path: Path) -> None:
    """Without a key, without a server of one's own, and without a warning."""
    for needed in NEEDS.get(name, ()):
        pytest.importorskip(needed, reason=f"examples/{name}.py needs {needed}")
    environ = os.environ | {
        "PREPARED_PYTHON": sys.executable,
        "PYTHONWARNINGS": "error",
        "LATENCY": "0.01",
    }
    command = ["sh", str(EXAMPLES / "run.sh"), name]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, encoding="utf-8", timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
    assert "Traceback" not in ended.stderr
    assert "Warning" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [[], ["nonsense"]])
def test_the_command_says_which_examples_there_are(wrong: list[str]) -> None:
    command = ["sh", str(EXAMPLES / "run.sh"), *wrong]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert ended.returncode == 2
    assert all(name in ended.stderr for name in NAMES)


def test_the_command_and_the_making_of_its_environment_share_no_variable() -> None:
    """A first run makes the environment between the two halves of the command."""

    def assigned(script: Path) -> set[str]:
        text = script.read_text("utf-8")
        return {*re.findall(r"(?<!\S)(\w+)=", text), *re.findall(r"\bfor (\w+) in", text)}

    ours, theirs = assigned(EXAMPLES / "run.sh"), assigned(ROOT / "scripts" / "environment.sh")
    assert {"example", "here", "latency"} <= ours
    assert {"folder", "name", "file"} <= theirs
    assert ours & theirs <= {"python"}


@pytest.mark.parametrize("name", NAMES)
def test_one_line_makes_an_example_ask_a_real_service(name: str) -> None:
    """It stands at the top, and the line above it says what it becomes."""
    lines = (EXAMPLES / f"{name}.py").read_text("utf-8").splitlines()
    [at] = [number for number, line in enumerate(lines) if line.startswith("SERVICE = ")]
    assert lines[at - 1].endswith('SERVICE = {"provider": "openai"}')
    assert sum("LOCAL_ENDPOINT_URL" in line for line in lines) == 1
    assert len(lines) <= 125


# The judge.


@pytest.mark.parametrize("face", ["blocking", "async"])
def test_an_item_that_cannot_be_judged_has_no_score_and_costs_no_other(
    face: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused item has None for its score, the mean is that of the others, and all are told."""
    with endpoint(fault={"filter": 0.2}, seed=3) as service:
        judge = example("judge", service.url, monkeypatch)
        items = [judge.Item(f"What is {n} + {n}?", str(2 * n)) for n in range(60)]
        if face == "blocking":
            with client_of(judge) as client:
                verdicts = judge.Judge(client).evaluate(items)
        else:
            verdicts = asyncio.run(judge.judged_in_a_loop(items))
        refused = service.ledger.faults["filter"]
    scores = [one.score for one in verdicts]
    told = judge.report(verdicts, 1.0)
    assert 0 < refused < 60
    assert (len(scores), scores.count(None), scores.count(0)) == (60, refused, 0)
    assert told.startswith(f"{60 - refused} of 60 judged")
    judged = [score for score in scores if score is not None]
    assert f"mean score {sum(judged) / len(judged):.2f}" in told
    assert f"{refused} without a score: content_filter" in told


def test_an_answer_that_is_no_verdict_is_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = example("judge", NOWHERE, monkeypatch)

    for said in ("I would give it a seven.", '{"reason": "short"}', "[7]", "null"):
        result = SimpleNamespace(ok=True, text=said)
        assert judge.verdict_of(result).score is None


def test_no_more_are_judged_at_once_than_there_are_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(latency=0.02) as service:
        judge = example("judge", service.url, monkeypatch)
        items = [judge.Item(f"What is {n}?", str(n)) for n in range(20)]
        with client_of(judge) as client:
            verdicts = judge.Judge(client, max_workers=4).evaluate(items)
        assert service.ledger.most_in_flight == 4
    assert len(verdicts) == 20


def test_one_judge_serves_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as service:
        judge = example("judge", service.url, monkeypatch)
        found: list[Any] = []
        with client_of(judge) as client:
            shared = judge.Judge(client)
            item = judge.Item("What is 1 + 1?", "2")
            threads = [
                threading.Thread(target=lambda: found.append(shared.answer(item))) for _ in range(4)
            ]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
    assert [one.score for one in found] == [1] * 4


# The rewards.


def samples_of(rewards: ModuleType, count: int, distinct: int) -> list[Any]:
    return [rewards.Sample(f"What is {n % distinct} + 1?", "2") for n in range(count)]


def test_rewards_are_asked_for_while_the_gpu_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests are at the service before anybody waits for them."""
    with endpoint(fault={"hang": 1.0}) as service:
        rewards = example("rewards", service.url, monkeypatch)
        with client_of(rewards, max_concurrent_requests=32) as client:
            samples = samples_of(rewards, 32, 32)
            pending = rewards.RewardModel(client).evaluate_batch(samples, deadline=20)
            for _ in range(1_000):  # the step
                if service.ledger.requests == 32:
                    break
                threading.Event().wait(0.01)
            assert service.ledger.requests == 32
            assert not pending.handle.done
            pending.handle.cancel()


def test_equal_samples_share_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(latency=0.02) as service:
        rewards = example("rewards", service.url, monkeypatch)
        with client_of(rewards, cache="memory") as client:
            model = rewards.RewardModel(client)
            found = [model.evaluate_batch(samples_of(rewards, 64, 8)).collect() for _ in range(2)]
        assert service.ledger.requests == 8
    assert [one.values for one in found] == [[1.0] * 64] * 2


def test_a_failed_sample_is_masked_and_not_0(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(fault={"filter": 0.3}, seed=1) as service:
        rewards = example("rewards", service.url, monkeypatch)
        with client_of(rewards) as client:
            found = (
                rewards.RewardModel(client).evaluate_batch(samples_of(rewards, 40, 40)).collect()
            )
        refused = service.ledger.faults["filter"]
    assert found.mask.count(False) == refused > 0
    assert [math.isnan(value) for value in found.values] == [not there for there in found.mask]
    assert found.mean == 1.0


@pytest.mark.parametrize("trouble", ["nobody there", "no answer"])
def test_a_service_that_is_down_leaves_the_batch_masked_by_its_deadline(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many rewards as samples, none of them a number."""
    with endpoint(fault={"hang": 1.0}) as service:
        url = NOWHERE if trouble == "nobody there" else service.url
        rewards = example("rewards", url, monkeypatch)
        with client_of(rewards) as client:
            samples = samples_of(rewards, 512, 512)
            pending = rewards.RewardModel(client).evaluate_batch(samples, deadline=0.3)
            found = pending.collect()
    assert found.mask == [False] * 512
    assert all(map(math.isnan, found.values))
    assert math.isnan(found.mean)


# The people.


def test_four_ways_find_the_same_typed_people(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as service:
        extraction = example("extraction", service.url, monkeypatch)

        async def found() -> list[Any]:
            ways = extraction.one_by_one, extraction.gather
            ways += extraction.as_completed, extraction.limited_to_two
            async with extraction.AsyncClient(**extraction.SERVICE) as client:
                return [[one.value for one in await way(client)] for way in ways]

        one_by_one, gathered, as_completed, limited = asyncio.run(found())
    assert one_by_one == gathered == limited
    assert sorted(map(str, as_completed)) == sorted(map(str, one_by_one))
    for person, sentence in zip(one_by_one, extraction.SENTENCES, strict=True):
        assert isinstance(person, extraction.Person)
        assert f"{person.first_name} {person.last_name}" in sentence
        assert str(person.age) in sentence


def test_two_at_a_time_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(latency=0.02) as service:
        extraction = example("extraction", service.url, monkeypatch)

        async def found() -> list[Any]:
            async with extraction.AsyncClient(**extraction.SERVICE) as client:
                people: list[Any] = await extraction.limited_to_two(client)
                return people

        assert sum(one.ok for one in asyncio.run(found())) == 7
        assert service.ledger.most_in_flight == 2


# The corpus.


def test_a_corpus_has_the_same_vectors_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """And packed they take one request for all that a service accepts together."""
    numpy = pytest.importorskip("numpy", reason="examples/corpus.py needs it")
    with endpoint() as service:
        corpus = example("corpus", service.url, monkeypatch)
        with client_of(corpus) as client:
            single = corpus.at_once(client, corpus.TEXTS)
            asked = service.ledger.requests
            packed = corpus.packed(client, corpus.TEXTS)
            packs = service.ledger.requests - asked
            assert (corpus.one_by_one(client, corpus.TEXTS[:5]) == single[:5]).all()
    assert asked == 200
    assert packs <= 200 / 20
    assert packed.dtype == numpy.float32
    assert numpy.allclose(single, packed, atol=1e-6)


def test_a_text_is_nearest_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as service:
        corpus = example("corpus", service.url, monkeypatch)
        with client_of(corpus) as client:
            vectors = corpus.packed(client, corpus.TEXTS[:20])
    (closeness, index), second, *_ = corpus.nearest(vectors, vectors[7], 3)
    assert index == 7
    assert closeness == pytest.approx(1.0)
    assert second[0] < closeness


# The columns.


def test_a_column_of_answers_is_in_the_order_of_the_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a row without an answer has None."""
    with endpoint(latency=0.02, latency_jitter=0.02) as service:
        dataframe = example("dataframe", service.url, monkeypatch)
        with client_of(dataframe) as client:
            questions = [f"What is number {n}?" for n in range(20)]
            found = dataframe.answers(client, [*questions, object()])
    assert all(question in answer for question, answer in zip(questions, found, strict=False))
    assert found[-1] is None


# The pages.


def page(name: str, language: str) -> str:
    return (ROOT / "docs" / f"pipelines-{name}{language}.md").read_text("utf-8")


def code(text: str) -> list[str]:
    return [block for language, block in fence.findall(text) if language == "python"]


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Block after block, as a reader would paste them: what there is now, and what replaces it."""
    for needed in ("openai", "pydantic"):
        pytest.importorskip(needed, reason="the pages begin with the SDK that people use now")
    monkeypatch.chdir(tmp_path)
    module = ModuleType(f"page_{name}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with endpoint() as service:
        for block in code(page(name, "")):
            source = block.replace(URL, service.url)
            exec(compile(source, f"pipelines-{name}.md", "exec"), vars(module))
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", PAGES)
def test_both_languages_show_the_same(name: str) -> None:
    """Headings, items and code correspond one to one."""

    def shape(text: str) -> list[object]:
        plain = fence.sub("", text)
        marks = re.findall(r"^(#+|-|\|) ", plain, re.MULTILINE)
        return [marks, re.findall(r"`[^`]+`", plain), fence.findall(text)]

    english, chinese = (page(name, language) for language in LANGUAGES)
    assert shape(chinese)[0] == shape(english)[0]
    assert sorted(shape(chinese)[1]) == sorted(shape(english)[1])
    assert shape(chinese)[2] == shape(english)[2]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_every_link_of_a_page_leads_somewhere(name: str, language: str) -> None:
    links = re.findall(r"\]\(([^)]+)\)", fence.sub("", page(name, language)))
    assert links
    assert all((ROOT / "docs" / link.partition("#")[0]).exists() for link in links)
