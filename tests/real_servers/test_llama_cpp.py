"""llama.cpp's own server, built from source, with a model of a few kilobytes that was made up."""

import pytest
from running import Run, chat, chats, shape

LLAMA = ("--provider", "llama_cpp")
LONG = "word " * 300
PROMPT, ASKED = {"prompt": "One, two,"}, {"input": "One, two,", "max_output_tokens": 8}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def test_a_job_of_fifty_lines_costs_the_lines_that_are_wrong_and_answers_the_others(
    llama_cpp, tmp_path
):
    lines = chats(50, "tiny")
    lines[7]["messages"][0]["content"] = LONG
    lines[8]["temperature"] = "hot"
    run = Run(tmp_path / "run", llama_cpp.url, lines, *LLAMA, key="any")
    assert run.code() == 0, run.said

    assert sorted(run.answers) == [number for number in range(50) if number not in (7, 8)]
    assert all(one["usage"]["completion_tokens"] == 20 for one in run.answers.values())
    [too_long], [odd] = run.errors[7], run.errors[8]
    assert (too_long["kind"], too_long["status"]) == ("bad_request", 400)
    assert "exceeds the available context size (256 tokens)" in too_long["message"]
    assert (odd["kind"], odd["status"]) == ("bad_request", 400)


def test_streamed_and_whole_answers_leave_rows_of_the_same_shape(llama_cpp, tmp_path):
    """The model is deterministic, so the texts are the same as well."""
    paths = {
        "chat/completions": chats(4, "tiny"),
        "completions": [of(number, PROMPT, max_tokens=8) for number in range(4)],
        "messages": chats(4, "tiny"),
        "responses": [of(number, ASKED) for number in range(4)],
    }
    for path, lines in paths.items():
        both = [
            Run(tmp_path / name, f"{llama_cpp.url}/{path}", lines, *LLAMA, *flags, key="any")
            for name, flags in ((path[:4] + "_whole", ()), (path[:4] + "_streamed", ("--stream",)))
        ]
        assert [run.code() for run in both] == [0, 0], [run.said for run in both]
        whole, streamed = (run.answers for run in both)
        assert len(whole) == len(lines)
        for number, answer in whole.items():
            answer.pop("completed_at", None)  # of a response, and of no streamed one
            assert shape(answer) == shape(streamed[number])
            assert text(answer) == text(streamed[number])


def test_a_line_for_each_endpoint_in_one_file(llama_cpp, tmp_path):
    lines = [
        chat(0, "tiny"),
        of(1, PROMPT, max_tokens=8),
        of(2, ASKED),
    ]
    run = Run(tmp_path / "run", llama_cpp.url, lines, *LLAMA, key="any")
    assert run.code() == 0, run.said
    assert [run.answers[number]["object"] for number in range(3)] == [
        "chat.completion",
        "text_completion",
        "response",
    ]


def test_texts_are_embedded_and_one_that_is_too_long_costs_itself(llama_cpp_embeddings, tmp_path):
    lines = [of(number, {"input": f"number {number}"}) for number in range(20)]
    lines[3]["input"] = LONG
    url = f"{llama_cpp_embeddings.url}/embeddings"
    run = Run(tmp_path / "run", url, lines, *LLAMA, key="any")
    assert run.code() == 0, run.said
    assert len(run.answers) == 19
    assert {len(one["data"][0]["embedding"]) for one in run.answers.values()} == {32}
    [too_long] = run.errors[3]
    assert (too_long["kind"], too_long["status"]) == ("bad_request", 500)


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": [{"content": "who says this?"}]},
        {"tools": [{"type": "function"}]},
        {"messages": [{"role": "user", "content": [IMAGE]}]},
    ],
    ids=["no role", "no function", "an image"],
)
def test_what_it_calls_a_server_error_and_is_the_line_s_own_is_not_tried_again(
    llama_cpp, tmp_path, wrong
):
    lines = [chat(0, "tiny"), chat(1, "tiny", **wrong)]
    run = Run(tmp_path / "run", llama_cpp.url, lines, *LLAMA, key="any")
    assert run.code() == 0, run.said
    [error] = run.errors[1]
    assert (error["kind"], error["status"]) == ("bad_request", 500)


def test_a_server_that_was_started_for_other_work_stops_the_run(llama_cpp, tmp_path):
    lines = [of(number, {"input": f"number {number}"}) for number in range(20)]
    url = f"{llama_cpp.url}/embeddings"
    run = Run(tmp_path / "run", url, lines, *LLAMA, key="any")
    assert run.code() == 3, run.said
    assert "does not support embeddings" in run.said


def of(number, body, **more):
    return {"model": "tiny", "temperature": 0, **body, **more, "metadata": {"id": number}}


def text(answer):
    if "choices" in answer:
        [choice] = answer["choices"]
        return choice["text"] if "text" in choice else choice["message"]["content"]
    [part] = answer["output"][0]["content"] if "output" in answer else answer["content"]
    return part["text"]
