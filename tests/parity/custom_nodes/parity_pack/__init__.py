"""Test nodes with which the cases provoke time, progress, failure and blocking for real."""

import time

import comfy.model_management
import comfy.utils
import torch
from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder


def nap(seconds):
    end = time.monotonic() + seconds
    while True:
        comfy.model_management.throw_exception_if_processing_interrupted()
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(0.01, left))


class ParitySlow:
    """Passes an image through after `seconds`, reporting `steps` progress updates on the way."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "parity"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE",),
                "seconds": ("FLOAT", {"default": 0.2, "min": 0.0, "max": 5.0, "step": 0.01}),
                "steps": ("INT", {"default": 0, "min": 0, "max": 50}),
            }
        }

    def run(self, image, seconds, steps):
        if steps <= 0:
            nap(seconds)
        else:
            bar = comfy.utils.ProgressBar(steps)
            for _ in range(steps):
                nap(seconds / steps)
                bar.update(1)
        return (image,)


KINDS = ["ValueError", "RuntimeError", "KeyError", "FileNotFoundError", "OutOfMemory"]


class ParityRaise:
    """Raises an exception of the chosen kind after `seconds`."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "parity"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE",),
                "kind": (KINDS,),
                "message": ("STRING", {"default": "boom"}),
                "seconds": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 5.0, "step": 0.01}),
            }
        }

    def run(self, image, kind, message, seconds):
        nap(seconds)
        if kind == "OutOfMemory":
            raise torch.cuda.OutOfMemoryError(message)
        raise {
            "ValueError": ValueError,
            "RuntimeError": RuntimeError,
            "KeyError": KeyError,
            "FileNotFoundError": FileNotFoundError,
        }[kind](message)


class ParityReport:
    """Output node without files: its ui output is a text list and a number list."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "parity"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE",),
                "label": ("STRING", {"default": "report"}),
                "count": ("INT", {"default": 1, "min": 1, "max": 8}),
            }
        }

    def run(self, image, label, count):
        return {"ui": {"text": [label] * count, "numbers": list(range(count))}}


class ParitySink:
    """Output node that returns no ui output at all."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "parity"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"image": ("IMAGE",)},
            "optional": {"note": ("STRING", {"default": ""})},
        }

    def run(self, image, note=""):
        return ()


class ParityFresh:
    """Passes an image through and is never taken from the cache."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "parity"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    @classmethod
    def IS_CHANGED(cls, **kwargs):
        return float("NaN")

    def run(self, image):
        return (image,)


class ParityBlock:
    """Blocks everything behind it: silently when the message is empty, with an error otherwise."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "parity"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "message": ("STRING", {"default": ""})}}

    def run(self, image, message):
        return (ExecutionBlocker(message or None),)


class ParityExpand:
    """Expands at run time into a chain of `depth` inverters."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "parity"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"image": ("IMAGE",), "depth": ("INT", {"default": 1, "min": 1, "max": 4})}
        }

    def run(self, image, depth):
        graph = GraphBuilder()
        last = image
        for _ in range(depth):
            last = graph.node("ImageInvert", image=last).out(0)
        return {"result": (last,), "expand": graph.finalize()}


class ParityFan:
    """Turns one image into a list of `count` images, so that nodes behind it run once per item."""

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "run"
    CATEGORY = "parity"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"image": ("IMAGE",), "count": ("INT", {"default": 2, "min": 1, "max": 8})}
        }

    def run(self, image, count):
        return ([image + 0.01 * i for i in range(count)],)


NODE_CLASS_MAPPINGS = {
    cls.__name__: cls
    for cls in (
        ParitySlow,
        ParityRaise,
        ParityReport,
        ParitySink,
        ParityFresh,
        ParityBlock,
        ParityExpand,
        ParityFan,
    )
}
