#!/usr/bin/env bash
# Starts a fake ComfyUI server and exports its address to the steps that follow, as the action does.
# SCENARIO, CASSETTE and COMFYUI_VERSION say what it does. It runs until stop.sh.
set -euo pipefail
folder=${RUNNER_TEMP:-/tmp}/comfyrec
mkdir -p "$folder"
arguments=(serve --port 0 --speed auto --ready-file "$folder/ready.json")
if [ -n "${SCENARIO:-}" ]; then arguments+=(--scenario "$SCENARIO"); fi
if [ -n "${COMFYUI_VERSION:-}" ]; then arguments+=(--comfyui-version "$COMFYUI_VERSION"); fi
if [ -n "${CASSETTE:-}" ]; then arguments+=("$CASSETTE"); fi
rm -f "$folder/ready.json"
nohup comfyrec "${arguments[@]}" >"$folder/log.txt" 2>&1 </dev/null &
echo $! >"$folder/pid"
until [ -f "$folder/ready.json" ]; do
  kill -0 "$(cat "$folder/pid")" 2>/dev/null || { cat "$folder/log.txt" >&2; exit 1; }
  sleep 0.1
done
url=$(sed 's/.*"url": "\([^"]*\)".*/\1/' "$folder/ready.json")
port=${url##*:}
cat >>"${GITHUB_ENV:-/dev/stdout}" <<VARIABLES
COMFYUI_URL=$url
COMFYUI_HOST=127.0.0.1
COMFYUI_PORT=$port
COMFYUI_PORT_HOST=$port
COMFY_BASE_URL=$url
COMFYUI_BASE_URL=$url
AUTOFLOW_COMFYUI_SERVER_URL=$url
VARIABLES
echo "url=$url" >>"${GITHUB_OUTPUT:-/dev/stdout}"
