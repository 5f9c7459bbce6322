# m2ib-audit in a container: CPU by default.
#   docker build -t m2ib-audit .
#   docker build -t m2ib-audit:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
# The steps are those of `make setup`, without the development tools.
#   docker run --rm -v "$PWD/data:/data:ro" -v "$PWD/out:/out" m2ib-audit \
#       run --dicom-dir /data/dicom --reports /data/reports --boxes /data/boxes.csv --model /data/model --out /out/audit

FROM python:3.12-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/venv \
    && torch="$(grep '^torch==' constraints.txt)" \
    && /opt/venv/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple "$torch"
COPY pyproject.toml README.md LICENSE ./
COPY pipelines ./pipelines
COPY reports ./reports
COPY audit ./audit
RUN /opt/venv/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.12-slim-bookworm
RUN useradd --create-home --uid 10001 auditor
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    HF_HUB_OFFLINE=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /home/auditor
ENTRYPOINT ["m2ib-audit"]
CMD ["--help"]
