# m2ib-audit in a container: on the CPU by default, on CUDA by build argument.
#
#   docker build -t m2ib-audit .
#   docker build -t m2ib-audit:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#
# The steps are those of `make setup`, without the development tools: locks/ has the checksum of every file but torch's.
# TORCH_INDEX is the one index that torch comes from: constraints.txt pins its version, the index its build.
# The images below are named by tag. Where a policy asks for digests: --build-arg PYTHON_IMAGE=python@sha256:...
#
#   docker run --rm --network none --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#       --user "$(id -u):$(id -g)" --env M2IB_AUDIT_SALT \
#       --volume "$PWD/data:/data:ro" --volume "$PWD/audits:/audits" m2ib-audit \
#       run --dicom-dir /data/dicom --reports /data/reports --model /data/model --out /audits/first
#
# M2IB_AUDIT_SALT (16 random characters or more) keeps a study's key the same from run to run: without it the salt is
# made inside the container and lost with it. For CUDA add `--gpus all`. Docker's own seccomp profile stays on: nothing
# here needs another. `pull` and `push` are in it; `--build-arg LOCK=cluster` brings Ray and Slurm along. compose.yaml has
# it beside an Orthanc.

ARG PYTHON_IMAGE=python:3.12-slim-bookworm

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG LOCK=container
WORKDIR /src
RUN python -m venv /opt/venv
# Each step has one index. The largest layers stay cached until a pin changes.
COPY locks ./locks
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes --no-deps --requirement "locks/$LOCK.lock"
COPY constraints.txt ./
RUN /opt/venv/bin/pip install --no-cache-dir --constraint constraints.txt --index-url "$TORCH_INDEX" torch
COPY pyproject.toml README.md LICENSE ./
COPY pipelines ./pipelines
COPY reports ./reports
COPY audit ./audit
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-index --no-build-isolation .

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="m2ib-audit" \
      org.opencontainers.image.licenses="Apache-2.0"
# Results go to /audits; any user may write there, since --user is as the mounted folder's owner wants it.
RUN useradd --create-home --uid 10001 auditor \
    && mkdir --mode=1777 /audits
COPY --from=build /opt/venv /opt/venv
# Patients' images are near: nothing is fetched from a hub, weights come in as a folder. MONAI asks for the user's name,
# and --user may be one that this system does not know.
ENV PATH=/opt/venv/bin:$PATH \
    HF_HUB_OFFLINE=1 \
    LOGNAME=auditor \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /audits
ENTRYPOINT ["m2ib-audit"]
CMD ["--help"]
