# One image for every app; the task definition's command chooses which. Built from the lock, run as 10001.
FROM python:3.13-slim-bookworm AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/slipway
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /build
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-default-groups --group apps --no-install-project

FROM node:22-bookworm-slim AS console
WORKDIR /build/console
COPY apps/console/package.json apps/console/package-lock.json ./
RUN npm ci --ignore-scripts --omit=dev
COPY apps/console ./
COPY apps/client/js ../client/js
RUN npm run build

FROM python:3.13-slim-bookworm
# The certificate bundle of Amazon RDS, for sslmode=verify-full.
ADD --chmod=0444 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/slipway/rds-ca.pem
RUN groupadd --gid 10001 slipway \
 && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin slipway
COPY --from=build /opt/slipway /opt/slipway
WORKDIR /srv/slipway
COPY apps ./apps
COPY --from=console /build/console/dist ./apps/console/dist
ENV PATH=/opt/slipway/bin:$PATH PYTHONPATH=/srv/slipway PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Fargate mounts a volume here (the root is read-only) and takes over the folder's rights, 1777, only if declared.
VOLUME /tmp
USER 10001:10001
EXPOSE 8000
# No shell and no init between the kernel and the app: SIGTERM reaches it first (apps/platform/serve.py).
CMD ["python", "-m", "apps.api"]
