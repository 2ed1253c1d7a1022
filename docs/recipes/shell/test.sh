#!/bin/sh
# Tests of client.sh: run as 'comfyrec with -- sh test.sh'. Each test has a server of its own.
set -u
cd "$(dirname "$0")" || exit
control=$COMFYUI_URL/__fake__
failed=0

# check NAME STATUS BODY: with a server made from BODY, the client ends with STATUS.
check() {
    made=$(curl -sS --fail "$control/servers" -d "$3") || exit 2
    id=$(printf '%s' "$made" | sed 's/.*"id": *\([0-9]*\).*/\1/')
    url=$(printf '%s' "$made" | sed 's/.*[{ ]"url": *"\([^"]*\)".*/\1/')
    COMFYUI_URL=$url sh client.sh ../workflow.json
    status=$?
    posts=$(curl -sS --fail "$control/servers/$id/verify" \
        -d '{"request": {"method": "POST", "path": "/prompt"}, "count": 1}')
    curl -sS --fail -X DELETE "$control/servers/$id" > /dev/null
    case "$status $posts" in
        "$2 "*'"ok": true'*) echo "ok $1" ;;
        *) echo "not ok $1: status $status, $posts"; failed=1 ;;
    esac
}

check "a run that succeeds" 0 '{"scenario": "success"}'
check "a node that fails" 1 '{"plan": {"1": {"raise": "out of memory"}}}'
exit $failed
