# syntax=docker/dockerfile:1
#
#   docker build -t diffusion-link .                                torch for the CPU
#   docker build -t diffusion-link --build-arg TORCH_INDEX= .       torch for CUDA: PyPI's build for Linux
#   docker run --rm -p 127.0.0.1:8000:8000 diffusion-link           (with --gpus all where there is a GPU)

ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# --- Third-party packages: a layer that changes only with pyproject.toml and constraints.txt.
FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY pyproject.toml constraints.txt ./
RUN pip install --constraint constraints.txt pip setuptools
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --constraint constraints.txt --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && pip install --constraint constraints.txt --requirement requirements.txt \
    && pip check

# --- The project itself, with the artifact that ships with it.
FROM dependencies AS package
COPY README.md LICENSE ./
COPY app app
COPY models models
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM ${PYTHON_IMAGE}
# Caches go to /tmp, so that the root file system may be read-only; nothing is ever fetched from a hub.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin captioner
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=package /wheels /wheels
RUN pip install --no-cache-dir --no-deps --no-index /wheels/*.whl && diffusion-link --help > /dev/null
USER captioner
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('DIFFUSION_LINK_PORT', '8000') + '/health/ready', timeout=4)"]
CMD ["diffusion-link", "serve", "--host", "0.0.0.0"]
