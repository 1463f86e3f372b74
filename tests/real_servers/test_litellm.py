"""A LiteLLM proxy as it is installed from PyPI, with mock models and its own limits and budgets."""

import re
from types import SimpleNamespace

import pytest
from running import Run, chat, chats, shape

LINES = 500
LITELLM = ("--provider", "litellm")
ONE_ATTEMPT = (*LITELLM, "--max_attempts", "1")


@pytest.fixture(scope="module")
def runs(litellm, tmp_path_factory):
    """Runs of 500 lines that take up to two minutes each, all at once."""
    folder = tmp_path_factory.mktemp("runs")

    def started(name, *flags, model="plain", key="open"):
        return Run(folder / name, litellm.url, chats(LINES, model), *flags, key=key)

    # Of the key's 300: on a busy machine requests arrive less evenly than they leave.
    told = ("--max_requests_per_minute", "280", "--max_tokens_per_minute", "none")
    none = ("--max_requests_per_minute", "none", "--max_tokens_per_minute", "none")
    runs = SimpleNamespace(
        learned=started("learned", *ONE_ATTEMPT, key="requests"),
        told=started("told", *ONE_ATTEMPT, *told, key="told"),
        tokens=started("tokens", *ONE_ATTEMPT, *none, "--stream", model="few-tokens"),
    )
    yield runs
    for run in vars(runs).values():
        run.end()


def test_500_lines_are_answered_under_a_key_s_limit_of_requests_that_is_learned(runs):
    """Its 429s are refusals for speed: with one attempt each, no line is lost to them."""
    assert runs.learned.code() == 0, runs.learned.said
    assert sorted(runs.learned.answers) == list(range(LINES))
    assert refused(runs.learned) > 0


def test_500_lines_are_answered_without_a_refusal_where_the_limit_is_told(runs):
    assert runs.told.code() == 0, runs.told.said
    assert sorted(runs.told.answers) == list(range(LINES))
    assert refused(runs.told) == 0


def test_500_streamed_lines_are_answered_under_a_model_s_limit_of_tokens(runs):
    assert runs.tokens.code() == 0, runs.tokens.said
    assert sorted(runs.tokens.answers) == list(range(LINES))
    assert refused(runs.tokens) > 0
    assert all(one["usage"]["total_tokens"] for one in runs.tokens.answers.values())


def test_too_many_in_flight_cost_seconds_and_not_the_minute_that_every_refusal_names(
    litellm, tmp_path
):
    run = Run(tmp_path / "run", litellm.url, chats(60, "slow"), *ONE_ATTEMPT, key="parallel")
    assert run.code(within=45) == 0
    assert len(run.answers) == 60
    assert refused(run) > 0


def test_a_key_without_money_stops_the_run_and_one_with_money_goes_on_with_it(litellm, tmp_path):
    lines = chats(150, "plain")
    run = Run(tmp_path / "run", litellm.url, lines, *LITELLM, key="money")
    assert run.code() == 3, run.said
    assert "out of money or quota (422): Budget has been exceeded!" in run.said
    assert {told(errors) for errors in run.errors.values()} == {("quota", 422, 1)}
    answered = run.answers
    assert 0 < len(answered) < len(lines)

    again = Run(tmp_path / "run", litellm.url, lines, *LITELLM, key="open")
    assert again.code() == 0, again.said
    assert len(again.answers) == len(lines)
    assert answered.items() <= again.answers.items()


def test_a_service_without_money_behind_it_stops_the_run_though_it_says_429(litellm, tmp_path):
    lines = chats(100, "provider-without-money")
    run = Run(tmp_path / "run", litellm.url, lines, *LITELLM, key="open")
    assert run.code() == 3, run.said
    assert "out of money or quota (429): No deployments available - crossed budget" in run.said
    assert {told(errors) for errors in run.errors.values()} == {("quota", 429, 1)}


def test_a_key_it_does_not_know_stops_the_run(litellm, tmp_path):
    run = Run(tmp_path / "run", litellm.url, chats(50, "plain"), *LITELLM, key="unknown")
    assert run.code() == 3
    assert "the key was refused (401)" in run.said
    assert run.answers == {}


MEANS = {
    "too-long": ("bad_request", 400, 1),
    "filtered": ("content_filter", 400, 1),
    "broken": ("transient", 500, 2),
    "no-such-model": ("model_config", 400, 1),
}


@pytest.mark.parametrize("streamed", [(), ("--stream",)], ids=["whole", "streamed"])
def test_what_is_wrong_with_one_line_costs_that_line(litellm, tmp_path, streamed):
    models = ["plain", *MEANS, "plain"]
    lines = [chat(number, model) for number, model in enumerate(models)]
    flags = (*LITELLM, "--max_attempts", "2", "--max_concurrent_requests", "1", *streamed)
    run = Run(tmp_path / "run", litellm.url, lines, *flags, key="open")
    assert run.code() == 0, run.said
    assert sorted(run.answers) == [0, len(MEANS) + 1]
    assert {models[number]: told(errors) for number, errors in run.errors.items()} == MEANS


def test_streamed_and_whole_answers_leave_rows_of_the_same_shape(litellm, tmp_path):
    """But for the usage of a stream, to which the proxy itself adds the cost and details."""
    both = [
        Run(tmp_path / name, litellm.url, chats(10, "plain"), *LITELLM, *flags, key="open")
        for name, flags in (("whole", ()), ("streamed", ("--stream",)))
    ]
    assert [run.code() for run in both] == [0, 0]
    for whole, streamed in zip(*(sorted_answers(run) for run in both), strict=True):
        assert shape(whole.pop("usage")).items() <= shape(streamed.pop("usage")).items()
        assert shape(whole) == shape(streamed)
        assert text(whole) == text(streamed) == "It is seven."


def refused(run):
    """Refusals for speed, as the run counted them."""
    return int(re.search(r"([\d,]+) refusals for speed", run.said)[1].replace(",", ""))


def told(errors):
    """(kind, status, attempts) of a request that failed."""
    return errors[-1]["kind"], errors[-1]["status"], errors[-1]["attempt"]


def sorted_answers(run):
    return [answer for _, answer in sorted(run.answers.items())]


def text(answer):
    return answer["choices"][0]["message"]["content"]
