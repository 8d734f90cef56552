# syntax=docker/dockerfile:1

# --- What is built. The image has the toolchain that rust-toolchain.toml names, and a C compiler.
FROM rust:1.95.0-bookworm AS build
# Or rustup would fetch the formatter and the linter, too.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
# The cache is of this machine; what is built is copied out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --package loopctl --bin loopctl \
    && install -D target/dist/loopctl /out/loopctl

# --- What runs.
FROM debian:bookworm-slim
# Versions are those of the image's release: fixes come with the next build (`docker compose build --pull`).
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/loopctl /usr/local/bin/loopctl
COPY deploy/bin /app/bin
WORKDIR /app
# /app/bin/loopctl goes before the program itself: it knows the database.
ENV LANG=C.UTF-8 \
    PATH=/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LOOPCTL_LISTEN=:: \
    PORT=8080
EXPOSE 8080
# nobody and nogroup, in numbers: whoever runs the image can see that it is not root.
USER 65534:65534
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["/app/bin/health"]
# tini hands signals on, and buries what the scripts leave behind.
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["/app/bin/server"]
