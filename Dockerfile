# syntax=docker/dockerfile:1
# The program and the CAs alone: no shell, no library, not root, nothing that is written.
#
#   docker build -t etcd-doctor .
#   docker run --rm --read-only --cap-drop ALL -p 9379:9379 etcd-doctor serve --endpoints http://192.0.2.1:2379

FROM rust:1.95-bookworm AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# etcd-client compiles etcd's protobuf definitions; libprotobuf-dev holds the standard ones that they import.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends protobuf-compiler libprotobuf-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Static: glibc's own resolver asks the hosts file and name servers without any further file. A target that is named keeps
# the flag from what the build itself runs.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN rustc -vV | sed -n 's/^host: //p' >/target

# Dependencies first, with an empty program: this layer is built again only when they change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/doctor tests/it \
 && echo 'fn main() {}' | tee src/main.rs benches/doctor/main.rs tests/it/main.rs >src/lib.rs \
 && cargo build --release --locked --target "$(cat /target)" --bin etcd-doctor

COPY . .
# The empty program's files are newer than those copied in: without the touch, cargo would take it for built.
RUN touch src/main.rs src/lib.rs \
 && cargo build --release --locked --target "$(cat /target)" --bin etcd-doctor \
 && cp "target/$(cat /target)/release/etcd-doctor" /etcd-doctor

FROM scratch
LABEL org.opencontainers.image.title="etcd-doctor" \
      org.opencontainers.image.description="Finds out what is wrong with an etcd cluster: ranked causes with evidence and the next command" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /etcd-doctor /usr/bin/etcd-doctor
USER 65534:65534
EXPOSE 9379
# Of the server, and not of the clusters that it watches: a sick cluster is no reason to restart what reports it.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s \
  CMD ["/usr/bin/etcd-doctor", "healthcheck", "--server", "http://127.0.0.1:9379"]
ENTRYPOINT ["/usr/bin/etcd-doctor"]
CMD ["serve"]
