"""Containers: their records, life cycle, streams, exec sessions and what the API shows of them."""
