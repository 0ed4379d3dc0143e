# One file, one image a job: build (thrown away), server, runner, migrate, postgres. compose.yml names the targets.
# Written for the classic builder too (docker.io of Debian 12): no mounts, no heredocs.

FROM debian:bookworm-slim AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc libc6-dev make pkg-config libpq-dev libmicrohttpd-dev libwslay-dev libjwt-dev libjansson-dev libcurl4-openssl-dev libssl-dev libvips-dev libjpeg62-turbo-dev nettle-dev libsecp256k1-dev libarchive-dev libseccomp-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Makefile VERSION ./
COPY lib lib
COPY server server
COPY docs/openapi.json docs/api.html docs/
COPY third_party third_party/
COPY pipeline_runner pipeline_runner
COPY media media
RUN make -s -j 2 build && strip --strip-debug build/bin/*

# kiln-server, role api or realtime.
FROM debian:bookworm-slim AS server
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libpq5 libmicrohttpd12 libwslay1 libjwt0 libjansson4 libcurl4 libssl3 libnettle8 libsecp256k1-1 libarchive13 curl ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /var/lib/kiln kiln \
    && install -d -o kiln -g kiln /var/lib/kiln /var/lib/kiln/media
COPY --from=build /src/build/bin/kiln-server /usr/local/bin/
ENV KILN_HOME=/var/lib/kiln KILN_BIND=0.0.0.0 KILN_MEDIA=file:/var/lib/kiln/media
USER kiln
WORKDIR /var/lib/kiln
EXPOSE 8080
ENTRYPOINT ["kiln-server"]

# kiln-runner, kiln-media and the tools they call.
FROM debian:bookworm-slim AS runner
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libpq5 libjansson4 libcurl4 libssl3 libseccomp2 bubblewrap libvips42 ffmpeg espeak-ng fonts-dejavu-core ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /var/lib/kiln kiln \
    && install -d -o kiln -g kiln /var/lib/kiln /var/lib/kiln/media /var/lib/kiln/work
COPY --from=build /src/build/bin/kiln-runner /src/build/bin/kiln-media /usr/local/bin/
ENV KILN_HOME=/var/lib/kiln KILN_MEDIA=file:/var/lib/kiln/media
USER kiln
WORKDIR /var/lib/kiln
ENTRYPOINT ["kiln-runner"]

# The one-shot that installs or upgrades the database and gives the programs' roles their passwords.
FROM debian:bookworm-slim AS migrate
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-client-15 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /nonexistent kiln
WORKDIR /kiln
COPY VERSION ./
COPY scripts/common.sh scripts/migrate.sh scripts/container-migrate.sh scripts/
COPY db db
COPY migrations migrations
USER kiln
ENTRYPOINT ["scripts/container-migrate.sh"]

# PostgreSQL 15 of the same Debian, so that no other registry is needed.
FROM debian:bookworm-slim AS postgres
RUN mkdir -p /etc/postgresql-common/createcluster.d \
    && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/none.conf \
    && apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-15 \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data
COPY scripts/container-postgres.sh /usr/local/bin/
USER postgres
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["container-postgres.sh"]
