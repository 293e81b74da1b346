"""The `openai` client for Python, as it is: models, an answer, an answer as a stream."""

import os

from openai import OpenAI

url = os.environ.get("HEARTH_URL", "http://127.0.0.1:8080")
client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("HEARTH_API_KEY", "none"))

for model in client.models.list():
    print("model:", model.id)

question = {"role": "user", "content": "What is the capital of France? Answer in one sentence."}
answer = client.chat.completions.create(model="default", messages=[question], max_tokens=64)
print("answer:", answer.choices[0].message.content)
print("tokens:", answer.usage.prompt_tokens, "+", answer.usage.completion_tokens)

print("stream: ", end="")
chunks = client.chat.completions.create(
    model="default", messages=[question], max_tokens=64, stream=True
)
for chunk in chunks:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
