"""PyPI comfyapi 2.0.1 as a command: URL WORKFLOW OUT. It polls the history."""

import sys

import comfyapi

url, workflow, out = sys.argv[1:]
manager = comfyapi.ComfyAPIManager()
manager.set_base_url(url)
manager.load_workflow(workflow)
prompt_id = manager.submit_workflow()
name, address = manager.wait_for_finish(prompt_id, poll_interval=0.2, max_wait_time=6)
manager.download_output(address, save_path=out)
