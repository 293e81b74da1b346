"""The unmodified `openai` client against `hearth serve`."""

import asyncio
import concurrent.futures
import time

import openai
import pytest
from measure import pages_used, wait_idle

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]


def test_models(client):
    models = list(client.models.list())
    assert len(models) >= 1
    assert client.models.retrieve(models[0].id).id == models[0].id
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_embeddings(client):
    texts = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Stocks fell on Monday."]
    answer = client.embeddings.create(model="default", input=texts)  # asks for base64
    plain = client.embeddings.create(model="default", input=texts, encoding_format="float")
    vectors = [one.embedding for one in answer.data]
    assert [one.index for one in answer.data] == [0, 1, 2]
    for vector, one in zip(vectors, plain.data, strict=True):
        assert vector == pytest.approx(one.embedding, abs=1e-7)

    def dot(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True))

    for vector in vectors:
        assert dot(vector, vector) == pytest.approx(1, abs=1e-5)
    assert dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2])
    alone = client.embeddings.create(model="default", input=texts[1])
    assert alone.data[0].embedding == vectors[1]
    assert alone.usage.prompt_tokens < answer.usage.prompt_tokens
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="default", input=[])


def test_chat(client):
    answer = client.chat.completions.create(
        model="default", messages=QUESTION, temperature=0, max_tokens=24
    )
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert "Paris" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.prompt_tokens > 10
    assert 0 < usage.completion_tokens <= 24
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_chat_stream_is_the_same_text(client):
    whole = client.chat.completions.create(
        model="default", messages=QUESTION, temperature=0, max_tokens=24
    )
    chunks = list(
        client.chat.completions.create(
            model="default",
            messages=QUESTION,
            temperature=0,
            max_tokens=24,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    finishes = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert finishes[-1] == whole.choices[0].finish_reason
    assert all(reason is None for reason in finishes[:-1])
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({c.id for c in chunks}) == 1


def test_seed_decides_the_text(client):
    def sample(seed):
        answer = client.chat.completions.create(
            model="default", messages=QUESTION, temperature=1.5, max_tokens=24, seed=seed
        )
        return answer.choices[0].message.content

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(4)}) > 1


def test_choices(client):
    answer = client.chat.completions.create(
        model="default", messages=QUESTION, temperature=1.5, max_tokens=12, n=4, seed=3
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert len({choice.message.content for choice in answer.choices}) > 1

    texts = {}
    for chunk in client.chat.completions.create(
        model="default",
        messages=QUESTION,
        temperature=1.5,
        max_tokens=12,
        n=4,
        seed=3,
        stream=True,
    ):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    assert texts == {choice.index: choice.message.content for choice in answer.choices}


def test_chat_logprobs(client):
    answer = client.chat.completions.create(
        model="default",
        messages=QUESTION,
        temperature=0,
        max_tokens=8,
        logprobs=True,
        top_logprobs=3,
    )
    content = answer.choices[0].logprobs.content
    assert len(content) == answer.usage.completion_tokens
    for token in content:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
        values = [other.logprob for other in token.top_logprobs]
        assert values == sorted(values, reverse=True)
        # Greedy takes the best.
        assert token.logprob == pytest.approx(values[0])
        assert token.token == token.top_logprobs[0].token
    text = b"".join(bytes(token.bytes) for token in content).decode()
    assert text.startswith(answer.choices[0].message.content)


def test_completion_logprobs(client):
    answer = client.completions.create(
        model="default", prompt="The capital of France is", temperature=0, max_tokens=8, logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == answer.usage.completion_tokens
    assert "".join(logprobs.tokens) == answer.choices[0].text
    assert logprobs.text_offset[0] == 0
    assert all(len(top) >= 2 for top in logprobs.top_logprobs)


def test_completion_stream_is_the_same_text(client):
    fields = {"model": "default", "prompt": "The capital of France is", "temperature": 0}
    whole = client.completions.create(**fields, max_tokens=24)
    chunks = list(
        client.completions.create(
            **fields, max_tokens=24, stream=True, stream_options={"include_usage": True}
        )
    )
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert len({chunk.id for chunk in chunks}) == 1
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert len(choices) > 5
    assert "".join(choice.text for choice in choices) == whole.choices[0].text
    assert [choice.finish_reason for choice in choices] == [None] * (len(choices) - 1) + [
        whole.choices[0].finish_reason
    ]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_stop_string(client):
    free = client.completions.create(
        model="default", prompt="1, 2, 3, 4, 5,", temperature=0, max_tokens=24
    )
    text = free.choices[0].text
    assert " 7" in text
    stopped = client.completions.create(
        model="default", prompt="1, 2, 3, 4, 5,", temperature=0, max_tokens=24, stop=[" 7"]
    )
    assert stopped.choices[0].text == text[: text.index(" 7")]
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.usage.completion_tokens < free.usage.completion_tokens


def test_prompt_as_token_ids(client):
    answer = client.completions.create(
        model="default", prompt=[1, 2, 3], temperature=0, max_tokens=4
    )
    assert answer.usage.prompt_tokens == 3


def test_ignore_eos_and_exact_usage(client):
    answer = client.chat.completions.create(
        model="default",
        messages=QUESTION,
        temperature=0,
        max_completion_tokens=64,
        extra_body={"ignore_eos": True},
    )
    assert answer.usage.completion_tokens == 64
    assert answer.choices[0].finish_reason == "length"


def test_logit_bias(client):
    plain = client.completions.create(
        model="default", prompt="The capital of France is", temperature=0, max_tokens=1, logprobs=0
    )
    biased = client.completions.create(
        model="default",
        prompt="The capital of France is",
        temperature=0,
        max_tokens=1,
        logprobs=0,
        logit_bias={"42": 100},
    )
    assert plain.choices[0].logprobs.tokens != biased.choices[0].logprobs.tokens


@pytest.mark.parametrize(
    "fields, code",
    [
        ({"temperature": -1}, "invalid_value"),
        ({"n": 129}, "invalid_value"),
        ({"max_tokens": 10**9}, "invalid_value"),
        ({"max_tokens": -1}, "invalid_value"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "unsupported_field"),
        ({"response_format": {"type": "json_object"}}, "unsupported_field"),
        ({"extra_body": {"chat_template": "x"}}, "unsupported_field"),
        ({"extra_body": {"nonsense": 1}}, "unknown_field"),
        ({"logit_bias": {"999999999": 1}}, "invalid_value"),
    ],
)
def test_bad_requests(client, fields, code):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="default", messages=QUESTION, **fields)
    assert caught.value.code == code


def test_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=QUESTION)
    assert caught.value.code == "model_not_found"


def test_prompt_over_the_context(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="default", prompt="word " * 200_000, max_tokens=1)
    assert caught.value.code == "context_length_exceeded"


def test_neighbours_do_not_change_the_text(client):
    def ask(number):
        answer = client.completions.create(
            model="default", prompt=f"{number} is a number that", temperature=0, max_tokens=24
        )
        return answer.choices[0].text

    alone = [ask(number) for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == alone


# ---- cancellation

# Much longer to compute than a freed request may take to end.
LONG = {
    "model": "default",
    "messages": QUESTION,
    "temperature": 0,
    "max_tokens": 4000,
    "extra_body": {"ignore_eos": True},
}
FREED_S_MAX = 2


@pytest.fixture
def freed(server):
    """After the test, nothing of its requests is left on the server."""
    wait_idle(server, 60)
    pages = pages_used(server)
    yield
    wait_idle(server, FREED_S_MAX)
    assert pages_used(server) == pages


@pytest.fixture
def async_client(server):
    return openai.AsyncOpenAI(
        base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120
    )


@pytest.mark.usefixtures("freed")
def test_closing_a_stream_frees_the_request(client):
    stream = client.chat.completions.create(**LONG, stream=True)
    for _ in range(5):
        next(stream)
    stream.close()


@pytest.mark.usefixtures("freed")
def test_leaving_the_context_of_a_stream_frees_the_request(client):
    with client.chat.completions.create(**LONG, stream=True) as stream:
        next(stream)
        next(stream)


@pytest.mark.usefixtures("freed")
def test_a_timeout_of_the_client_frees_the_request(client):
    """One answer in one piece: the server hears of it by the closed connection alone."""
    begin = time.monotonic()
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=1).chat.completions.create(**LONG)
    assert time.monotonic() - begin < 5


@pytest.mark.usefixtures("freed")
def test_cancelling_a_task_in_a_stream_frees_the_request(async_client):
    async def cancelled():
        got = asyncio.Event()

        async def read():
            stream = await async_client.chat.completions.create(**LONG, stream=True)
            async for _ in stream:
                got.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(got.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


@pytest.mark.usefixtures("freed")
def test_cancelling_tasks_that_wait_for_whole_answers_frees_them(async_client):
    """More of them than run at a time: those in the queue go too."""

    async def cancelled():
        tasks = [
            asyncio.create_task(async_client.chat.completions.create(**LONG)) for _ in range(70)
        ]
        await asyncio.sleep(1)
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)

    asyncio.run(cancelled())
