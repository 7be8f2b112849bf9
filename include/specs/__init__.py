"""What is configured: YAML files under ``include/config``, as frozen values."""
