"""A column of questions in, a column of answers out, with pandas and with Polars.

sh examples/run.sh dataframe
"""

import os

import pandas as pd
import polars as pl

from api_request_parallel_processor import Client

# For a real service, with OPENAI_API_KEY set: SERVICE = {"provider": "openai"}
SERVICE = {"request_url": os.environ.get("LOCAL_ENDPOINT_URL", "http://127.0.0.1:8642")}
QUESTIONS = ["What is a tide?", "What is a delta?", "What is a fjord?"]


def answers(client, questions):
    """One for each, in their order; None where there is none."""
    ask = [
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": q}]} for q in questions
    ]
    return [result.text if result.ok else None for result in client.in_order(ask)]


def main():
    with Client(**SERVICE) as client:
        frame = pd.DataFrame({"question": QUESTIONS})
        frame["answer"] = answers(client, frame["question"])
        print(frame)

        table = pl.DataFrame({"question": QUESTIONS})
        found = pl.Series("answer", answers(client, table["question"]), dtype=pl.String)
        print(table.with_columns(found))


if __name__ == "__main__":
    main()
