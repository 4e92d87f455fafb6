"""Running containers: OCI config, conmon, streams, exec, logs, statistics."""
