# prism-bench in an image.
#
#   docker build -t prism-bench .                               # for the CPU
#   docker build -t prism-bench:cuda --build-arg DEVICE=cuda .  # for NVIDIA GPUs; CUDA's libraries come with torch
#   docker run --rm -v "$PWD:/work" prism-bench run ablation-table3 --scale smoke
#   docker run --rm --gpus all -v "$PWD:/work" prism-bench:cuda run ablation-table3
#
# The store is a folder of /work. Where it should belong to you, add: --user "$(id -u):$(id -g)"
FROM python:3.11-slim

ARG DEVICE=cpu

# Results do not depend on the letters of a terminal, and nothing is asked of a home that an account may not have.
ENV HOME=/tmp \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUTF8=1

# torch, by far the largest layer, before the sources: it is not fetched again when they change.
COPY pyproject.toml /tmp/prism-bench/
WORKDIR /tmp/prism-bench
RUN case "$DEVICE" in \
      cpu) set -- --index-url https://download.pytorch.org/whl/cpu ;; \
      cuda) set -- ;; \
      *) echo "DEVICE is cpu or cuda, not $DEVICE" >&2; exit 1 ;; \
    esac \
    && python -c "import tomllib; print(*(it for it in tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'] if it.startswith('torch')), sep='\n')" > torch.txt \
    && pip install "$@" --requirement torch.txt

COPY . /tmp/prism-bench
RUN pip install . && rm -rf /tmp/prism-bench

RUN mkdir /work && chmod 0777 /work
WORKDIR /work
USER 1000:1000

ENTRYPOINT ["prism-bench"]
CMD ["--help"]
