"""The Dockerfile builder: parser, instructions, stages, graph, solver. Nothing here knows HTTP."""
