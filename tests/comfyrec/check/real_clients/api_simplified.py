"""PyPI comfy-api-simplified 1.6.0 as a command: URL WORKFLOW OUT. Its socket is late."""

import sys
from pathlib import Path

from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper

url, workflow, out = sys.argv[1:]
found = ComfyApiWrapper(url + "/").queue_and_wait_images(ComfyWorkflowWrapper(workflow), "Result")
for name, content in found.items():
    (Path(out) / name).write_bytes(content)
