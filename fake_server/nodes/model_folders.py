"""Model folders: their names, which loaders list them, and what lies in them on a fresh machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from comfyrec.errors import UsageError
from comfyrec.wording import did_you_mean

__all__ = [
    "ALWAYS_OFFERED",
    "CORE_MODELS",
    "LOADERS",
    "MODEL_FOLDERS",
    "checked_folders",
    "folder_for",
]

# GET /models of the newest generation, in its order.
MODEL_FOLDERS: Final = (
    "checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models", "clip_vision",
    "style_models", "embeddings", "diffusers", "vae_approx", "controlnet", "gligen",
    "upscale_models", "latent_upscale_models", "custom_nodes", "datasets", "hypernetworks",
    "photomaker", "classifiers", "model_patches", "audio_encoders", "background_removal",
    "frame_interpolation", "geometry_estimation", "optical_flow", "detection",
)  # fmt: skip

# class -> its inputs whose lists are the files of a model folder.
LOADERS: Final[dict[str, dict[str, str]]] = {
    "CheckpointLoader": {"ckpt_name": "checkpoints", "config_name": "configs"},
    "CheckpointLoaderSimple": {"ckpt_name": "checkpoints"},
    "ImageOnlyCheckpointLoader": {"ckpt_name": "checkpoints"},
    "unCLIPCheckpointLoader": {"ckpt_name": "checkpoints"},
    "LoraLoader": {"lora_name": "loras"},
    "LoraLoaderModelOnly": {"lora_name": "loras"},
    "VAELoader": {"vae_name": "vae"},
    "CLIPLoader": {"clip_name": "text_encoders"},
    "DualCLIPLoader": {"clip_name1": "text_encoders", "clip_name2": "text_encoders"},
    "TripleCLIPLoader": {f"clip_name{n}": "text_encoders" for n in range(1, 4)},
    "UNETLoader": {"unet_name": "diffusion_models"},
    "CLIPVisionLoader": {"clip_name": "clip_vision"},
    "StyleModelLoader": {"style_model_name": "style_models"},
    "ControlNetLoader": {"control_net_name": "controlnet"},
    "DiffControlNetLoader": {"control_net_name": "controlnet"},
    "GLIGENLoader": {"gligen_name": "gligen"},
    "UpscaleModelLoader": {"model_name": "upscale_models"},
    "HypernetworkLoader": {"hypernetwork_name": "hypernetworks"},
    "PhotoMakerLoader": {"photomaker_model_name": "photomaker"},
    "DiffusersLoader": {"model_path": "diffusers"},
    "LatentUpscaleModelLoader": {"model_name": "latent_upscale_models"},
    "LTXVAudioVAELoader": {"ckpt_name": "checkpoints"},
    "LTXAVTextEncoderLoader": {"ckpt_name": "checkpoints", "text_encoder": "text_encoders"},
    "CreateHookLora": {"lora_name": "loras"},
    "CreateHookLoraModelOnly": {"lora_name": "loras"},
    "CreateHookModelAsLora": {"ckpt_name": "checkpoints"},
    "CreateHookModelAsLoraModelOnly": {"ckpt_name": "checkpoints"},
    "LoraLoaderBypass": {"lora_name": "loras"},
    "LoraLoaderBypassModelOnly": {"lora_name": "loras"},
    "QuadrupleCLIPLoader": {f"clip_name{n}": "text_encoders" for n in range(1, 5)},
    "ModelPatchLoader": {"name": "model_patches"},
    "AudioEncoderLoader": {"audio_encoder_name": "audio_encoders"},
    "LoadBackgroundRemovalModel": {"bg_removal_name": "background_removal"},
    "FrameInterpolationModelLoader": {"model_name": "frame_interpolation"},
    "OpticalFlowLoader": {"model_name": "optical_flow"},
    "LoadMoGeModel": {"model_name": "geometry_estimation"},
    "LoadDA3Model": {"model_name": "geometry_estimation"},
    "LoadMediaPipeFaceLandmarker": {"model_name": "detection"},
}
ALWAYS_OFFERED: Final = {("VAELoader", "vae_name"): ("pixel_space",)}
# What a freshly installed machine of a person who follows the tutorials has.
CORE_MODELS: Final[dict[str, tuple[str, ...]]] = {
    "checkpoints": (
        "sd_xl_base_1.0.safetensors",
        "sd_xl_refiner_1.0.safetensors",
        "v1-5-pruned-emaonly-fp16.safetensors",
        "v1-5-pruned-emaonly.safetensors",
        "512-inpainting-ema.safetensors",
    ),
    "configs": ("anything_v3.yaml", "v1-inference.yaml", "v2-inference.yaml"),
    "loras": ("lcm-lora-sdv1-5.safetensors", "style.safetensors"),
    "vae": ("ae.safetensors", "vae-ft-mse-840000-ema-pruned.safetensors"),
    "text_encoders": (
        "clip_l.safetensors",
        "t5xxl_fp16.safetensors",
        "t5xxl_fp8_e4m3fn.safetensors",
    ),
    "diffusion_models": ("flux1-dev.safetensors", "flux1-schnell.safetensors"),
    "clip_vision": ("clip_vision_h.safetensors",),
    "controlnet": ("control_v11p_sd15_canny.pth", "control_v11p_sd15_openpose.pth"),
    "upscale_models": ("4x-UltraSharp.pth", "RealESRGAN_x4plus.pth"),
    "embeddings": ("easynegative.safetensors",),
}


# A word in the name of an input or class -> the folder of the model files that it names.
_FOLDER_WORDS: Final = {
    "lora": "loras", "ckpt": "checkpoints", "checkpoint": "checkpoints", "vae": "vae",
    "unet": "diffusion_models", "diffusion": "diffusion_models", "clip_vision": "clip_vision",
    "clip": "text_encoders", "text_encoder": "text_encoders", "control": "controlnet",
    "upscale": "upscale_models", "embedding": "embeddings", "gligen": "gligen",
    "photomaker": "photomaker", "style_model": "style_models",
}  # fmt: skip

LEGACY_FOLDERS: Final = {"unet": "diffusion_models", "clip": "text_encoders"}
"""Names that ComfyUI itself still takes for these folders (``folder_paths.map_legacy``)."""


def checked_folders(
    models: Mapping[str, Sequence[str]], more: Sequence[str] = ()
) -> Mapping[str, Sequence[str]]:
    """The same models, if every folder is one that ComfyUI has; older names lead to today's.

    Args:
        models: file names by folder.
        more: folders that custom nodes have brought.

    Raises:
        UsageError: a folder has another name; the nearest is named.
    """
    known = (*MODEL_FOLDERS, *more)
    checked: dict[str, list[str]] = {}
    for given, names in models.items():
        folder = given if given in more else LEGACY_FOLDERS.get(given, given)
        if folder not in known:
            hint = did_you_mean(folder, known, otherwise=f"there are {', '.join(known)}")
            raise UsageError(f"there is no model folder {folder!r}; {hint}")
        checked.setdefault(folder, []).extend(names)
    return checked


def folder_for(name: str, key: str) -> str | None:
    """The folder of the model files that an input of an unknown class names, by both names."""
    own = {folder for row in LOADERS.values() for one, folder in row.items() if one == key}
    if len(own) == 1:
        return own.pop()
    for text in (key.lower(), name.lower()):
        for word, folder in _FOLDER_WORDS.items():
            if word in text:
                return folder
    return None
