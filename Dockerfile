# One image for every role; the command chooses: web, worker, gpu-worker, engine-worker, beat, migrate, manage … (deploy/entrypoint.sh).
#
# TORCH_INDEX chooses where torch is taken from: the address of a package index. Left empty, the ordinary index gives
# the CUDA build (several GB), which runs on a CPU too; an index of CPU builds makes a far smaller image.

FROM python:3.11-slim-bookworm AS packages
ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements/base.txt requirements/torch.txt requirements/
RUN pip install --require-hashes -r requirements/base.txt
# A layer of its own: torch is the big one, and its build is chosen apart from the lock.
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r requirements/torch.txt

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=portal.settings \
    WEIGHBRIDGE_HOME=/var/lib/weighbridge
# Triton compiles a launcher for the kernels of a GPU with it.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /var/lib/weighbridge --shell /usr/sbin/nologin weighbridge \
 && install -d -m 0700 -o weighbridge -g weighbridge /var/lib/weighbridge \
 && install -d -o weighbridge -g weighbridge \
      /var/lib/weighbridge/store /var/lib/weighbridge/sandbox-cache \
 && install -d -m 0700 -o weighbridge -g weighbridge \
      /var/lib/weighbridge/media /var/lib/weighbridge/publishing
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/weighbridge
COPY manage.py pyproject.toml LICENSE ./
COPY portal portal
COPY access_requests access_requests
COPY distribution distribution
COPY inference_sandbox inference_sandbox
COPY demo demo
COPY deploy/entrypoint.sh deploy/health.py deploy/
USER weighbridge
# A key for this one command: without it the settings would make one and the image would carry it to every site.
RUN WEIGHBRIDGE_SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(48))") \
    python manage.py collectstatic --noinput
EXPOSE 8000
# Right for web; the other roles bring their own check, or none (docker-compose.yml).
HEALTHCHECK --interval=15s --timeout=5s --start-period=40s --retries=3 CMD ["python", "deploy/health.py"]
ENTRYPOINT ["deploy/entrypoint.sh"]
CMD ["web"]
