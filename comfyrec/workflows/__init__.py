"""Workflow files -> prompts: the formats that people keep workflows in, and the page's conversion.

``read_workflows(data)`` finds every workflow in a file, whatever it is wrapped in;
``to_prompt(workflow, classes)`` converts the web page's format to the API format that
``POST /prompt`` takes.
"""

from comfyrec.workflows.convert import Converted, Converter, to_prompt
from comfyrec.workflows.read import Workflow, find_workflows, is_workflow_file, read_workflows

__all__ = [
    "Converted",
    "Converter",
    "Workflow",
    "find_workflows",
    "is_workflow_file",
    "read_workflows",
    "to_prompt",
]
