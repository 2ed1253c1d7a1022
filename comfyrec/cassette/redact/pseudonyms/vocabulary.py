"""Words that tell nothing about anybody: choices of core nodes, names of the protocol, products."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "LOOPBACK",
    "PRODUCTS",
    "PUBLIC_HOSTS",
    "is_harmless_stem",
    "is_path_word",
    "is_vocabulary",
]


def _words(listed: str) -> list[str]:
    return listed.split()


_CHOICES: Final = frozenset(
    _words(
        "auto default none memory latent2rgb taesd null true false yes no on off enable disable "
        "enabled disabled "
        "fixed random randomize increment decrement input output temp image images mask masks "
        "audio video latent text string int float boolean combo all any always never once "
        "normal karras exponential sgm_uniform simple ddim_uniform beta linear_quadratic "
        "kl_optimal euler euler_cfg_pp euler_ancestral euler_ancestral_cfg_pp heun heunpp2 "
        "dpm_2 dpm_2_ancestral lms dpm_fast dpm_adaptive dpmpp_2s_ancestral "
        "dpmpp_2s_ancestral_cfg_pp dpmpp_sde dpmpp_sde_gpu dpmpp_2m dpmpp_2m_cfg_pp "
        "dpmpp_2m_sde dpmpp_2m_sde_gpu dpmpp_2m_sde_heun dpmpp_2m_sde_heun_gpu dpmpp_3m_sde "
        "dpmpp_3m_sde_gpu ddpm lcm ipndm ipndm_v deis res_multistep res_multistep_cfg_pp "
        "res_multistep_ancestral res_multistep_ancestral_cfg_pp gradient_estimation "
        "gradient_estimation_cfg_pp er_sde seeds_2 seeds_3 sa_solver sa_solver_pece ddim "
        "uni_pc uni_pc_bh2 nearest nearest-exact nearest_exact bilinear bicubic area bislerp "
        "lanczos center crop pad stretch red green blue alpha luma lighter darker add "
        "subtract multiply difference mean length length+mean comfy comfy++ a1111 compel sd3 "
        "sdxl sd1 flux wan hunyuan_video hunyuan ltxv pixart cosmos lumina2 stable_diffusion "
        "stable_cascade stable_audio mochi chroma ace omnigen2 qwen_image cpu gpu cuda mps "
        "fp8_e4m3fn fp8_e5m2 fp8_e4m3fn_fast fp16 fp32 bf16 v_prediction eps lcm zsnr x0 png "
        "jpg jpeg webp mp4 mkv webm gif wav mp3 flac opus h264 h265 vp9 av1 prores rgb rgba "
        "float32 float16 uint8 left right top bottom horizontal vertical up down both success "
        "error completed failed cancelled pending running in_progress queued interrupted "
        "started finished processing http https ws wss checkpoint checkpoints loras vae clip "
        "unet diffusion_models text_encoders controlnet embeddings upscale_models "
        "style_models gligen hypernetworks photomaker classifiers configs custom_nodes "
        "clip_vision clip_gpt vae_approx diffusers easy medium hard low high min max small "
        "large first last before after balanced fast slow quality speed full half "
        "creation_time created_at execution_duration asc desc posix nt linux win32 darwin "
        "utf-8 ascii unicode object array number integer list dict tuple nan inf"
    )
)
"""In lower case: choices of core nodes, states and types of the protocol."""

LOOPBACK: Final = frozenset(
    ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "localhost.localdomain")
)
"""Hosts that everybody has."""

PUBLIC_HOSTS: Final = frozenset(
    _words(
        "cloud.comfy.org api.comfy.org docs.comfy.org comfy.org www.comfy.org "
        "registry.comfy.org huggingface.co hf.co civitai.com github.com "
        "raw.githubusercontent.com pytorch.org download.pytorch.org python.org pypi.org "
        "docs.python.org www.w3.org"
    )
)
"""Sites that are everybody's."""

PRODUCTS: Final = frozenset(
    _words(
        "python aiohttp nginx cloudflare uvicorn gunicorn hypercorn apache caddy envoy "
        "werkzeug jetty express node nodejs undici axios requests httpx urllib urllib3 "
        "websockets websocket client go okhttp java curl wget mozilla applewebkit khtml like "
        "gecko chrome chromium safari firefox edg edge opr version mobile android iphone ipad "
        "macintosh intel mac os x windows nt win64 x64 wow64 linux x86_64 aarch64 arm64 "
        "ubuntu debian fedora compatible comfyrec comfyui comfyui-desktop electron posix "
        "win32 darwin cpu mps cuda cudamallocasync native default main tags sqlite gcc clang msc v "
        "bit amd64 http https cu rocm"
    )
)
"""In lower case: what stands in the names of programs, and is not a person's or machine's own."""

_STEMS: Final = re.compile(
    r"(?i)(?:comfyui|comfyui_temp_[a-z]{5}|comfyui-animated|example|clipspace|temp|tmp|output|"
    r"input|image|images|mask|masks|audio|video|workflow|workflows|prompt|untitled|default|"
    r"unsaved workflow|file|index|readme|requirements|config|settings|comfy\.settings)"
)
_PATH_WORDS: Final = frozenset(
    _words(
        "home users user usr local lib lib64 bin sbin opt var etc mnt media srv tmp temp root "
        "dev proc sys run app apps data workspace workspaces work src code projects git "
        "site-packages dist-packages python python3 venv .venv env envs conda miniconda3 "
        "anaconda3 pyenv .pyenv versions comfyui comfy comfy_extras comfy_execution comfy_api "
        "comfy_api_nodes app utils models checkpoints loras vae clip unet diffusion_models "
        "text_encoders controlnet embeddings upscale_models output input temp custom_nodes "
        "web extensions core torch torchvision transformers diffusers accelerate safetensors "
        "numpy pil aiohttp asyncio nn modules functional ldm sd samplers k_diffusion "
        "model_management.py c: d: e: documents desktop downloads library applications "
        "program files appdata roaming system32 windows private volumes api view history "
        "queue prompt object_info userdata upload jobs resources python_embeded lib "
        "python.exe volume storage config cache .cache share content drive mydrive notebooks "
        "kaggle working runpod-volume execution.py nodes.py main.py server.py folder_paths.py "
        "model_management caching.py graph.py validation.py sd.py sample.py samplers.py "
        "module.py model_patcher.py functional.py image.py imagefile.py __init__.py run.py "
        "base_events.py utils.py sampling.py ops.py controlnet.py latest_node_io.py _io.py "
        "_input_impl.py nodes_images.py nodes_custom_sampler.py <string> <frozen runpy>"
    )
)
"""In lower case: folders that every machine has, and ComfyUI's own."""
_PATH_NUMBERED: Final = re.compile(
    r"(?i)python[0-9.]*|nodes_[a-z_]+\.py|site-packages|[0-9.]+|\.{1,2}"
)


def is_vocabulary(value: str) -> bool:
    """Whether a value is one of the words that the protocol and its core nodes have."""
    return value.lower() in _CHOICES


def is_harmless_stem(stem: str) -> bool:
    """Whether a file is named so by ComfyUI itself."""
    return _STEMS.fullmatch(stem) is not None


def is_path_word(word: str) -> bool:
    """Whether a folder or file is one that every installation has."""
    return word.lower() in _PATH_WORDS or _PATH_NUMBERED.fullmatch(word) is not None
