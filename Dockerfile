# syntax=docker/dockerfile:1
#
#   docker build -t diffusion-link .                                torch for the CPU
#   docker build -t diffusion-link --build-arg TORCH_INDEX= .       torch for CUDA: PyPI's build for Linux
#   docker build -t diffusion-link --build-context artifact=work/audiocaps/artifact .       with what you trained baked in
#   docker run --rm -p 127.0.0.1:8000:8000 diffusion-link           (with --gpus all where there is a GPU)

ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# --- Third-party packages: a layer that changes only with pyproject.toml and constraints.txt.
FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY pyproject.toml constraints.txt ./
# pip stays outside of the environment, which goes into the image.
RUN pip install --constraint constraints.txt pip setuptools && python -m venv --without-pip /opt/venv
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip --python /opt/venv install --constraint constraints.txt --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > requirements.txt \
    && pip --python /opt/venv install --constraint constraints.txt --requirement requirements.txt \
    && pip --python /opt/venv check

# --- The project itself.
FROM dependencies AS package
COPY README.md LICENSE ./
COPY app app
COPY models models
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

# --- What is served unless something is mounted over /artifact: the artifact that ships, or a folder (--build-context artifact=).
FROM scratch AS artifact
COPY models/embedded /

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Diffusion-Link" \
      org.opencontainers.image.description="Captions for sounds over HTTP" \
      org.opencontainers.image.licenses="MIT"
# Caches go to /tmp, so that the root file system may be read-only; nothing is ever fetched from a hub.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    DIFFUSION_LINK_ARTIFACT=/artifact
RUN groupadd --system --gid 10001 captioner \
    && useradd --system --uid 10001 --gid captioner --no-create-home --shell /usr/sbin/nologin captioner
COPY --from=dependencies /opt/venv /opt/venv
# The last that pip does here is to remove itself; setuptools stays in the environment, since torch requires it.
RUN --mount=type=bind,from=package,source=/wheels,target=/wheels \
    pip --python /opt/venv install --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && diffusion-link --help > /dev/null \
    && pip uninstall --yes --root-user-action ignore setuptools wheel pip
COPY --from=artifact / /artifact
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('DIFFUSION_LINK_PORT', '8000') + '/health/ready', timeout=4)"]
CMD ["diffusion-link", "serve", "--host", "0.0.0.0"]
