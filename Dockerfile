# The image of Trellis: `docker build -t trellis:0.1.0 .`
#
# What is in it is what requirements.lock says, hash by hash, and the package itself. For an image that is the same in a
# year, also say which base: `--build-arg BASE=python:3.11-slim@sha256:…`. The Python is the one that the tests run on.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
# Wheels only: nothing is compiled here, and no package runs code of its own while it is installed.
RUN python -m venv --without-pip /opt/trellis \
 && python -m pip --python /opt/trellis/bin/python install --no-cache-dir --no-compile \
    --only-binary=:all: --require-hashes -r requirements.lock
# What builds the package is locked, too, and stays out of the image.
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.lock > build.lock \
 && python -m venv --without-pip /opt/build \
 && python -m pip --python /opt/build/bin/python install --no-cache-dir \
    --only-binary=:all: --require-hashes -r build.lock
COPY pyproject.toml README.md LICENSE ./
COPY controller controller
RUN python -m pip --python /opt/build/bin/python wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && python -m pip --python /opt/trellis/bin/python install --no-cache-dir --no-compile --no-deps --no-index /dist/*.whl
# The file system will be read-only, so compile now; checked by nobody at run time, since nothing can change.
RUN /opt/trellis/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/trellis/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="trellis" \
      org.opencontainers.image.description="A policy controller for the Linkerd service mesh" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/trellis /opt/trellis
# Linkerd's chart calls the program by this name.
RUN ln -s /opt/trellis/bin/linkerd-policy-controller /linkerd-policy-controller
ENV PATH=/opt/trellis/bin:$PATH \
    HOME=/ \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
WORKDIR /
USER 2103:2103
EXPOSE 8090 9990 9443
# Takes the arguments of Linkerd's program as they are, and every command of `trellis`.
ENTRYPOINT ["/linkerd-policy-controller"]
CMD ["--help"]
