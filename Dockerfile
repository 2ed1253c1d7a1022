# A fake ComfyUI server: docker build -t comfyrec . && docker run --rm -p 8188:8188 --read-only comfyrec
FROM python:3.13-slim AS build
COPY . /source
RUN pip wheel --no-cache-dir --wheel-dir /wheels /source

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels comfyrec \
    && useradd --system --uid 10001 --no-create-home comfyrec
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8188
HEALTHCHECK --interval=2s --timeout=2s --start-period=10s --retries=5 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8188/system_stats', timeout=2)"]
ENTRYPOINT ["comfyrec"]
CMD ["serve", "--host", "0.0.0.0", "--print", "json"]
