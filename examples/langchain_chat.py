"""LangChain's ChatOpenAI, as it is: an answer, and an answer as a stream."""

import os

from langchain_openai import ChatOpenAI

url = os.environ.get("HEARTH_URL", "http://127.0.0.1:8080")
model = ChatOpenAI(
    base_url=f"{url}/v1",
    api_key=os.environ.get("HEARTH_API_KEY", "none"),
    model="default",
    max_tokens=64,
)

messages = [
    ("system", "You answer in one short sentence."),
    ("human", "What is the capital of France? Answer in one sentence."),
]
answer = model.invoke(messages)
print("answer:", answer.content)
print("tokens:", answer.usage_metadata["input_tokens"], "+", answer.usage_metadata["output_tokens"])

print("stream: ", end="")
for chunk in model.stream(messages):
    print(chunk.content, end="", flush=True)
print()
