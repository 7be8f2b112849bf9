# One image for every Airflow component; docker-compose.yaml and Astro both build it.
FROM python:3.12-slim-bookworm

ARG CODE_COMMIT=unknown
ENV PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/usr/local/airflow \
    PYTHONPATH=/usr/local/airflow:/usr/local/airflow/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES_REGEXP="include\.refs\..*" \
    AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL=error \
    AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1 \
    MLOPS_CODE_COMMIT=$CODE_COMMIT

WORKDIR /usr/local/airflow
COPY packages.txt requirements.txt ./
RUN apt-get update && sed '/# tests only/d; s/#.*//' packages.txt | xargs apt-get install -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir --no-deps -r requirements.txt \
    && useradd --create-home --uid 50000 astro \
    && install -d -o astro -m 0700 /mlops /usr/local/airflow/logs
COPY --chown=astro include/embedded/airflow_local_settings.py config/airflow_local_settings.py
COPY --chown=astro pyproject.toml uv.lock README.md ./
COPY --chown=astro include include
COPY --chown=astro plugins plugins
COPY --chown=astro feature_repo feature_repo
COPY --chown=astro dags dags
RUN pip install --no-cache-dir --no-deps . && chown astro /usr/local/airflow
USER astro
