# The operator's image: the locked dependencies and the wheel in one virtual environment, nothing else.
#
#   docker build --build-arg BASE=python:3.13-slim -t marieai/marie-operator:latest .

ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /tmp/tools && /tmp/tools/bin/pip install --no-cache-dir 'uv==0.13.9'
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY src ./src
COPY config ./config
RUN python3 -m venv --without-pip /opt/marie-operator \
    && /tmp/tools/bin/uv export --frozen --no-dev --no-emit-project --extra uvloop --extra tracing --extra database --output-file /tmp/requirements.txt \
    && /tmp/tools/bin/uv pip install --no-cache --python /opt/marie-operator/bin/python --require-hashes --requirement /tmp/requirements.txt \
    && /tmp/tools/bin/uv build --wheel --out-dir /tmp/dist \
    && /tmp/tools/bin/uv pip install --no-cache --no-deps --compile-bytecode --python /opt/marie-operator/bin/python /tmp/dist/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="marie-operator" \
      org.opencontainers.image.description="Kubernetes operator for Marie-AI" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/marie-operator /opt/marie-operator
# The root file system is mounted read-only in the cluster, so nothing may be written at run time.
ENV PATH=/opt/marie-operator/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["marie-operator"]
CMD ["run"]
