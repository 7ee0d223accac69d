# fer_transfer on a CPU.  docker build -t fer_transfer .
# docker run --rm -v "$PWD:/work" fer_transfer fer-demo
FROM python:3.11-slim-bookworm

# OpenCV links against these.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 user

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY conf conf
COPY fer_transfer fer_transfer
COPY hydra_plugins hydra_plugins
# What the versions may be stands in pyproject.toml.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu \
        "torch>=2.11,<2.14" "torchvision>=0.26,<0.29" \
    && pip install --no-cache-dir ".[joblib,export,saliency]"

USER 1000
WORKDIR /work
CMD ["fer-train", "--help"]
