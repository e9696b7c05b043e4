# Studio on a machine with an NVIDIA GPU. The host needs the driver and the NVIDIA Container Toolkit; CUDA comes with torch.
#
#   docker build -t studio .
#   docker run --rm --gpus all -v studio:/data studio demo
#
# The web studio, with everything it needs: see compose.yaml.

FROM python:3.12-slim-bookworm AS build
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/studio
# the dependencies first: they change seldom, and are most of the image
COPY constraints.txt ./
RUN /opt/studio/bin/pip install --constraint constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY datasets datasets
COPY notebooks notebooks
COPY studio studio
RUN /opt/studio/bin/pip install --constraint constraints.txt .

FROM python:3.12-slim-bookworm
# libgomp: OpenMP for llama.cpp and torch; gcc and the C headers: Triton compiles its kernel launchers with them
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 studio \
    && install -d -o studio -g studio /data /work
COPY --from=build /opt/studio /opt/studio
ENV PATH=/opt/studio/bin:$PATH \
    STUDIO_HOME=/data \
    HF_HOME=/data/hub \
    PYTHONUNBUFFERED=1 \
    TOKENIZERS_PARALLELISM=false
USER studio
WORKDIR /work
VOLUME ["/data"]
EXPOSE 7860 8000
ENTRYPOINT ["studio"]
CMD ["--help"]
