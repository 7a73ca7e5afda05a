# syntax=docker/dockerfile:1
# build: the wheel's parts and their compiler.  test: lint and all tests.  runtime: what ships.

FROM debian:12-slim AS build
WORKDIR /src
COPY deploy deploy
RUN deploy/apt-install deploy/apt-build.txt
COPY . .
RUN python3 -m venv /opt/roomtone
RUN /opt/roomtone/bin/pip install --no-cache-dir --quiet .

FROM build AS test
RUN deploy/apt-install deploy/apt-test.txt
RUN make lint
RUN make test

FROM debian:12-slim AS runtime
ARG ROOMTONE_COMMIT=unknown
ENV ROOMTONE_COMMIT=$ROOMTONE_COMMIT PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/roomtone/bin:$PATH
COPY deploy/apt-install deploy/apt-runtime.txt /tmp/
RUN /tmp/apt-install /tmp/apt-runtime.txt && rm -rf /var/lib/apt/lists/* /tmp/apt-*
RUN useradd --system --uid 9100 --home-dir /var/lib/roomtone --create-home roomtone
COPY --from=build /opt/roomtone /opt/roomtone
USER roomtone
WORKDIR /var/lib/roomtone
# Control on 9100; media on rtp_port_range.  Use the host's network for media: one mapping a port is slow.
EXPOSE 9100/tcp 30000-39999/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9100/health', timeout=2)"]
ENTRYPOINT ["roomtone", "serve"]
