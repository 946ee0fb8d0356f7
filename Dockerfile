# The image of `make image` for those who have a container engine:
#
#   docker build --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --tag logstore:0.1.0 .
#
# Without an engine, `make image` writes the same files into target/image/logstore.tar.

FROM rust:1.95-bookworm AS binaries
WORKDIR /source
COPY . .
RUN mkdir /binaries && folder=$(image/binaries) && cp "$folder/logstore" "$folder/logstore-operator" /binaries/

FROM golang:1.26-bookworm AS certificates
WORKDIR /source/image
COPY image .
RUN go run ./cmd/certificates > /ca-certificates.crt

# Both binaries are static, so the image needs no other file.
FROM scratch
ARG VERSION
ARG REVISION
COPY --from=binaries /binaries/logstore /binaries/logstore-operator /bin/
COPY --from=certificates /ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV PATH=/bin
USER 65532:65532
LABEL org.opencontainers.image.title="logstore"
LABEL org.opencontainers.image.description="A replicated append-only log over HTTP, and its operator"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.version="$VERSION"
LABEL org.opencontainers.image.revision="$REVISION"
