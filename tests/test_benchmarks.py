"""What the benchmarks measure with: an exact stub, equal bodies, and arithmetic that is right."""

import json
import os
import re
import socket
import time
from itertools import islice

import pytest

from benchmarks import flat, real_limits, startup, stub, throughput, workload
from benchmarks.cases import Bench, Run
from benchmarks.measured import Cores, Needed
from request_engine.encodings import encoder

whole_commands = pytest.mark.skipif(os.name == "nt", reason="os.wait4")
ANYWHERE = Cores(frozenset(), frozenset(), frozenset(), "")


@pytest.fixture(scope="module")
def service():
    with stub.running() as running:
        running.reset()
        yield running


def replies(service, sent, pieces=1):
    """The contents of all replies to *sent*, which goes out in so many pieces on one connection."""
    port = int(service.base_url.partition("127.0.0.1:")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        size = -(-len(sent) // pieces)
        for start in range(0, len(sent), size):
            connection.sendall(sent[start : start + size])
            time.sleep(0.005 if pieces > 1 else 0)
        with connection.makefile("rb") as stream:
            for _ in range(sent.count(b"POST ")):
                length = 0
                while line := stream.readline().strip():
                    name, _, value = line.partition(b":")
                    length = int(value) if name == b"content-length" else length
                yield stream.read(length)


def request(path="chat/completions", body=b'{"a": 1}'):
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\nContent-LENGTH: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("pieces", [1, 7])
def test_the_stub_answers_every_request_of_a_connection_and_counts_it(service, pieces):
    service.reset()
    chat, embeddings, empty = replies(
        service, request() + request("embeddings") + request(body=b""), pieces
    )

    assert json.loads(chat) == json.loads(empty)
    assert json.loads(chat)["usage"]["total_tokens"] == 233
    assert 500 < len(chat) < 700
    assert len(json.loads(embeddings)["data"][0]["embedding"]) == 1_536
    assert 29_000 < len(embeddings) < 36_000
    seen = service.seen()
    assert (seen.requests, seen.replies, seen.connections) == (3, 3, 1)
    assert 0 < seen.first <= seen.last <= time.monotonic()


def test_the_stub_answers_after_its_latency_those_in_flight_together():
    with stub.running(latency=0.1) as slow:
        slow.reset()
        started = time.monotonic()
        assert len(list(replies(slow, request() * 20))) == 20
        assert 0.1 <= time.monotonic() - started < 1
        assert slow.seen().most_in_flight == 20


def test_a_reset_stub_has_served_nothing(service):
    list(replies(service, request()))
    service.reset()
    assert (service.seen().requests, service.seen().replies) == (0, 0)


def test_bodies_are_distinct_of_about_200_tokens_and_the_same_in_every_run(tmp_path):
    path = workload.written(tmp_path, 200)
    requests = [json.loads(line) for line in path.read_text().splitlines()]
    bodies = path.with_suffix(".bodies").read_text().splitlines()
    (tmp_path / "again").mkdir()

    assert [request.pop("metadata") for request in requests] == [{"row_id": n} for n in range(200)]
    assert [json.dumps(request) for request in requests] == bodies
    assert len(set(bodies)) == 200
    assert workload.written(tmp_path / "again", 200).read_bytes() == path.read_bytes()
    tokens = [len(encoder("o200k_base")(one["messages"][0]["content"])) for one in requests]
    assert 190 <= sum(tokens) / len(tokens) <= 210


def a_run(rate, cpu):
    """A thousand requests at so many a second, with so many seconds of CPU."""
    seen = stub.Seen(1_000, 1_000, 7, 5, first=5.0, last=5.0 + 1_000 / rate, cpu=0.1)
    return Run(Needed(started=4.0, seconds=2.0, cpu=cpu, peak=2**20), seen)


def test_ratios_are_taken_within_a_round_and_their_median_is_told():
    floor = [a_run(rate, cpu) for rate, cpu in ((1_000, 0.5), (500, 1.0), (800, 0.5))]
    ours = [a_run(rate, cpu) for rate, cpu in ((900, 1.0), (100, 9.0), (400, 2.0))]
    found = {"floor": floor, "ours": ours}

    assert throughput.ratio(found, "ours", "floor", throughput.rate) == pytest.approx(0.5)
    assert throughput.ratio(found, "ours", "floor", throughput.cpu) == pytest.approx(4.0)
    last = throughput.table(found).splitlines()[-1].split()
    assert " ".join(last) == "ours 1,000 7 400 0.500 (0.200-0.900) 2.000 2.000 4.00 1"


def test_side_by_side_what_costs_twice_as_much_serves_half():
    found = {
        "floor": [a_run(1, cpu) for cpu in (0.5, 1.0, 0.5)],
        "ours": [a_run(1, cpu) for cpu in (1.0, 1.6, 2.0)],
    }
    last = throughput.beside(found).splitlines()[-1].split()
    assert " ".join(last) == "ours 1600 0.500 (0.250-0.625)"


def test_a_bound_is_kept_at_its_limit_and_missed_beyond_it():
    assert throughput.Bound("rate", 0.85, 0.85).kept
    assert not throughput.Bound("rate", 0.85, 0.849).kept
    assert throughput.Bound("cpu", 2.0, 2.0, least=False).kept
    assert str(throughput.Bound("cpu", 2.0, 2.1, least=False)).endswith("2.100  MISSED")


def test_with_latency_the_bounds_are_15_percent_lower_and_those_of_cpu_are_not():
    names = throughput.FLOOR, throughput.OURS, throughput.COUNTING, throughput.BOTH
    found = {name: [a_run(1_000, 0.5)] for name in names}

    at_once = throughput.bounds(found, found, latency=0.0, embeddings=False)
    late = throughput.bounds(found, found, latency=0.2, embeddings=False)

    limits = [0.85, 0.85, 0.65, 0.65, 0.75]  # side by side, and alone
    assert [one.limit for one in islice(at_once, 6)] == [*limits, 2.0]
    lower = [0.85 * limit for limit in limits]
    assert [one.limit for one in late] == pytest.approx([*lower, 2.0])


def test_growth_is_what_goes_beyond_the_floors():
    first = flat.Cost(ours=2.0, floor=1.0)
    assert flat.grown(flat.Cost(ours=4.0, floor=2.0), first) == 1.0
    assert flat.grown(flat.Cost(ours=3.0, floor=1.0), first) == 1.5
    assert flat.grown(flat.Cost(ours=3.0, floor=0.5), first) == 1.5


@whole_commands
def test_the_whole_comparison_runs_every_case_to_its_end(capsys):
    code = throughput.main(["--rounds", "1", "--requests", "50", "--in_flight", "5"])

    told = capsys.readouterr().out
    assert code == (1 if "MISSED" in told else 0)
    ours = throughput.OURS, throughput.FAR, throughput.COUNTING
    for name in (throughput.FLOOR, *ours):
        assert told.count(f"\n{name} ") == 2  # side by side, and alone
    assert f"\n{throughput.BOTH} " in told
    assert f"without the {throughput.COOKBOOK}" in told


@whole_commands
def test_a_sweep_measures_every_point_beside_the_first(service, tmp_path, capsys):
    flat.swept(Bench(service, ANYWHERE, tmp_path), "one size", [(500, 5)], rounds=1)

    row = capsys.readouterr().out.splitlines()[3].split()
    assert row[:2] == ["500", "5"]
    assert float(row[-1]) == 1.0  # beside itself it has not grown


@whole_commands
def test_starting_is_measured_and_split(capsys):
    code = startup.main(["--times", "1"])

    told = capsys.readouterr().out
    assert code == (1 if "MISSED" in told else 0)
    assert startup.HELP in told
    assert startup.FIRST in told
    assert told.count("dearest: ") == 2


def a_case(name, known=True):
    return next(one for one in real_limits.cases() if (one.name, one.known) == (name, known))


@pytest.mark.parametrize(
    ("name", "known", "count", "least"),
    [
        ("bucket of 1 s", True, 1_820, 90.0),  # 20 at once, then 20 a second
        ("bucket of 60 s", False, 3_000, 90.0),
        ("bucket of 60 s", True, 2_401, 120.0),  # the user's limit binds: the third minute's first
        ("fixed window", False, 2_401, 110.0),  # the first minute is 10 s old
        ("fixed window", True, 2_401, 120.0),
        ("sliding window", False, 2_401, 120.0),
        ("per second", False, 1_800, 89.0),
    ],
)
def test_the_least_of_a_real_job_is_the_limiters_own_arithmetic(name, known, count, least):
    case = a_case(name, known)
    assert case.count(90.0) == count
    assert case.least(count, phase=10.0) == pytest.approx(least)


def seen_in(folder, case, count, admitted, refused=()):
    """What is seen in a ledger of such moments."""
    moments = [(at, None) for at in admitted] + [(at, "requests") for at in refused]
    entries = ({"time": at, "billed": why is None, "refusal": why} for at, why in moments)
    ledger = folder / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return real_limits.seen(case, count, ledger)


def test_what_a_ledger_says_is_judged_and_told(tmp_path):
    """1,820 at 20 a second, two of them after having been refused, and the last one 4 s late."""
    admitted = [1_000.0 + number / 20 for number in range(1_820)]
    admitted[-1] += 4.0
    one = seen_in(tmp_path, a_case("bucket of 1 s"), 1_820, admitted, refused=[1_003.0] * 2)

    assert one.took == pytest.approx(90.95 + 4.0 + 0.3)
    assert one.ratio == pytest.approx(95.25 / 90.3)
    assert one.share_refused == pytest.approx(2 / 1_820)
    assert one.above == 0.0
    assert one.missed() == ["takes 1.055, at most 1.05"]
    assert one.told().endswith("0.11% (0.5%)  +0.00%  MISSED")
    more, lent, ramp, between, tail = map(float, re.findall(r"[+-]?\d+\.\d", one.arithmetic())[:5])
    assert (more, lent, tail) == (5.0, 1.0, 4.0)
    assert more == pytest.approx(lent + ramp + between + tail, abs=0.2)


def test_one_admission_too_many_in_a_minute_is_a_miss_only_where_the_limit_was_given(tmp_path):
    admitted = [1_000.0 + number / 20 for number in range(1_820)]
    admitted[1_200] -= 0.1
    known = seen_in(tmp_path, a_case("bucket of 1 s"), 1_820, admitted)
    unknown = seen_in(tmp_path, a_case("bucket of 1 s", known=False), 1_820, admitted)

    assert known.missed() == ["0.08% above the limit given"]
    assert unknown.missed() == []


def test_a_real_job_is_run_and_seen_whole(tmp_path):
    one = real_limits.run(a_case("bucket of 1 s"), 1.0, tmp_path / "case", after=0.0)

    assert one.faults == []
    assert (one.count, len(one.admitted)) == (40, 40)
    assert one.ratio >= 1.0
    assert "known" in one.told()
