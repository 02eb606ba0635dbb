# syntax=docker/dockerfile:1
# The program alone: no shell, no package manager, not root.
#
#   docker build -t etcd-doctor .
#   docker run --rm -p 9379:9379 etcd-doctor serve --endpoints http://192.0.2.1:2379

FROM rust:1.95-bookworm AS build
# etcd-client compiles etcd's protobuf definitions; libprotobuf-dev holds the standard ones that they import.
RUN apt-get update \
 && apt-get install -y --no-install-recommends protobuf-compiler libprotobuf-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# Dependencies first, with an empty program: this layer is built again only when they change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/doctor tests/it \
 && echo 'fn main() {}' | tee src/main.rs benches/doctor/main.rs tests/it/main.rs >src/lib.rs \
 && cargo build --release --locked --bin etcd-doctor

COPY . .
# The empty program's files are newer than those copied in: without the touch, cargo would take it for built.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin etcd-doctor

# The root of the image: the program and the few libraries of glibc that it asks for, at their own paths. Resolving
# names needs nothing more, as glibc has held its resolver since 2.34.
RUN mkdir -p /image/usr/bin /image/etc/ssl/certs /image/etc/etcd-doctor \
 && cp target/release/etcd-doctor /image/usr/bin/ \
 && ldd target/release/etcd-doctor | grep -o '/[^ ]*' | xargs -I{} cp --parents -L {} /image/ \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && echo 'nobody:x:65534:65534:nobody:/:/sbin/nologin' >/image/etc/passwd \
 && echo 'nogroup:x:65534:' >/image/etc/group \
 && echo 'hosts: files dns' >/image/etc/nsswitch.conf

FROM scratch
LABEL org.opencontainers.image.title="etcd-doctor" \
      org.opencontainers.image.description="Finds out what is wrong with an etcd cluster: ranked causes with evidence and the next command" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/ /
COPY LICENSE /usr/share/doc/etcd-doctor/LICENSE
USER 65534:65534
EXPOSE 9379
# Of the server, and not of the clusters that it watches: a sick cluster is no reason to restart what reports it.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s \
  CMD ["/usr/bin/etcd-doctor", "healthcheck", "--server", "http://127.0.0.1:9379"]
ENTRYPOINT ["/usr/bin/etcd-doctor"]
CMD ["serve"]
