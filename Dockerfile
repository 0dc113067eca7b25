# tallyd as a container image of two files that matter: one static program and the certificates of public authorities.
# No shell, no package manager, no root. docs/containers.md says how it is run and which user has to run it.
#
#   docker build -t tallyd .                                 (BuildKit, or `buildah bud`)
#   COPY --from=tallyd /tallyd /usr/local/bin/tallyd         in the Dockerfile of an image that has an app beside it
#
# scripts/try-image does without an engine what this file says, and runs the result.
ARG RUST=1.95.0

FROM rust:${RUST}-slim-bookworm AS build
# hadolint ignore=DL3008 # the newest certificates and compiler of the release are what is wanted
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates musl-tools \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# What was compiled for the image before is used again, as far as it has not changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    scripts/build-static \
    && scripts/image-root "target/$(uname -m)-unknown-linux-musl/release/tallyd" /image

FROM scratch
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="tallyd" \
      org.opencontainers.image.description="Meters Claude Code: counts every API response in its session logs exactly once" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.source="https://github.com/tallyd/tallyd" \
      org.opencontainers.image.documentation="https://github.com/tallyd/tallyd/blob/main/docs/containers.md"
COPY --from=build /image/ /
# The logs are mounted at /claude, read-only: the folder that is ~/.claude elsewhere.
ENV CLAUDE_CONFIG_DIR=/claude \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    TALLYD_LISTEN=0.0.0.0:9091 \
    TALLYD_LOG_FORMAT=json \
    TALLYD_STATE_DIR=/var/lib/tallyd
USER 65532:65532
VOLUME ["/var/lib/tallyd"]
EXPOSE 9091
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["/tallyd", "status"]
ENTRYPOINT ["/tallyd"]
CMD ["run"]
