#!/bin/sh
# A small client: posts a workflow and waits for the end of its prompt. Exit status 0: it succeeded.
set -eu
posted=$(curl -sS --fail "$COMFYUI_URL/prompt" -d "{\"prompt\": $(cat "$1"), \"client_id\": \"shell\"}")
id=$(printf '%s' "$posted" | sed 's/.*"prompt_id": *"\([^"]*\)".*/\1/')
for _ in $(seq 100); do
    history=$(curl -sS --fail "$COMFYUI_URL/history/$id")
    case $history in
        *'"status_str": "success"'*) exit 0 ;;
        *'"status_str": "error"'*) echo "the prompt failed" >&2; exit 1 ;;
    esac
    sleep 0.1
done
echo "the prompt did not end" >&2
exit 2
