#!/bin/sh
# The HTTP API with curl alone.
set -eu
url=${HEARTH_URL:-http://127.0.0.1:8080}

request() {
  curl -sS --fail-with-body --no-buffer -H "Authorization: Bearer ${HEARTH_API_KEY:-none}" \
    -H 'Content-Type: application/json' "$@"
}

echo "# Models"
request "$url/v1/models"

printf '\n\n# A text goes on\n'
request "$url/generate" -d '{
  "prompt": "The capital of France is",
  "max_tokens": 8,
  "temperature": 0
}'

printf '\n\n# A chat, token by token\n'
request "$url/v1/chat/completions" -d '{
  "messages": [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}],
  "max_tokens": 32,
  "temperature": 0,
  "stream": true
}'

echo "# The tokens of a text"
request "$url/tokenize" -d '{"prompt": "Hello, world"}'
echo
