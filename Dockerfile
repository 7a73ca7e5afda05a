# syntax=docker/dockerfile:1
# build: the wheel, its compiler, and what the wheel needs.  test: lint and all tests.  runtime: what ships.
# Without a container engine, deploy/replay_dockerfile.py builds the same stages as directories.

FROM debian:12-slim AS build
WORKDIR /src
COPY deploy deploy
RUN deploy/apt-install deploy/apt-build.txt
COPY . .
# The shipped environment has no pip: the one beside it fills it.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/roomtone
RUN /opt/build/bin/pip wheel --no-cache-dir --quiet --no-deps --wheel-dir /opt/wheel .
RUN /opt/build/bin/pip --python /opt/roomtone/bin/python3 install --no-cache-dir --quiet /opt/wheel/*.whl

FROM build AS test
RUN deploy/apt-install deploy/apt-test.txt
RUN make lint
RUN make test

FROM debian:12-slim AS runtime
ARG ROOMTONE_COMMIT=unknown
ENV ROOMTONE_COMMIT=$ROOMTONE_COMMIT PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/roomtone/bin:$PATH
# Where the health check asks; set it when `listen` is another port or TLS is on.
ENV ROOMTONE_HEALTH=http://127.0.0.1:9100/health
COPY deploy/apt-install deploy/apt-runtime.txt /tmp/
RUN /tmp/apt-install /tmp/apt-runtime.txt && apt-get clean && rm -rf /var/lib/apt/lists/* /tmp/apt-*
RUN useradd --uid 9100 --home-dir /var/lib/roomtone --create-home --shell /usr/sbin/nologin roomtone
COPY --from=build /opt/roomtone /opt/roomtone
USER roomtone
WORKDIR /var/lib/roomtone
# Control on 9100; media on rtp_port_range.  Use the host's network for media: one mapping a port is slow.
EXPOSE 9100/tcp 30000-39999/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen(os.environ['ROOMTONE_HEALTH'], timeout=2)"]
ENTRYPOINT ["roomtone", "serve"]
