"""The Engine API over HTTP: server, router and one file of routes per noun."""
