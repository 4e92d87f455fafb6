"""Checks of a Dockerfile that could be built and should be written otherwise (`build --check`).

Pure: what a base image says has to be given; without it nothing is said about variables that it
may define. Rules are those of Docker's "Build checks" reference.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.builder import configs
from engine.builder.errors import DockerfileError
from engine.builder.graph import Style, Vertex, vertices
from engine.builder.ignore import Matcher
from engine.builder.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Workdir,
)
from engine.builder.lines import Node
from engine.builder.parser import Dockerfile
from engine.builder.rules import Finding, Options, Rule
from engine.builder.sources import is_git, is_url
from engine.builder.stages import ImageRef, Plan, Stage, StageRef
from engine.builder.text import did_you_mean, quote
from engine.builder.words import Lexer
from engine.images.reference import InvalidReference, Reference
from engine.registry.platforms import Platform

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
_RESERVED = ("context", "scratch")
_ONCE = (Cmd, Entrypoint, Healthcheck)

Bases = Mapping[int, Mapping[str, Any]]
_Found = Iterator[Finding]


def check(
    dockerfile: Dockerfile,
    planned: Plan,
    *,
    bases: Bases | None = None,
    ignored: Matcher | None = None,
    options: Options | None = None,
) -> tuple[Finding, ...]:
    """What there is to say, from the first line to the last. Raises DockerfileError.

    bases: the inner config of the image that a stage stands on, by the stage's index.
    """
    if options is None:
        directive = dockerfile.directives.get("check")
        options = Options.parse(directive.value if directive else "")
    found = [
        *_of_lines(dockerfile),
        *_of_froms(planned),
        *_of_steps(planned, _keywords(dockerfile), bases or {}, ignored),
    ]
    wanted = (finding for finding in found if options.wants(finding.rule))
    return tuple(sorted(wanted, key=lambda finding: (finding.first_line, finding.last_line)))


def violation(findings: Iterable[Finding]) -> str:
    """The error of a build that fails by its findings (`# check=error=true`)."""
    rules = dict.fromkeys(str(finding.rule) for finding in findings)
    return f"lint violation found for rules: {', '.join(rules)}"


def base_platform(stage: Stage, name: str, expected: Platform, actual: Platform) -> _Found:
    """Whether an image that was fetched is for the platform that was meant."""
    if (expected.os, expected.architecture) != (actual.os, actual.architecture):
        message = (
            f"Base image {name} was pulled with platform {quote(str(actual))}, "
            f"expected {quote(str(expected))} for current build"
        )
        yield _at(stage.from_, Rule.INVALID_BASE_IMAGE_PLATFORM, message)


def _at(place: Any, rule: Rule, message: str) -> Finding:
    return Finding(rule, message, place.first_line, place.last_line)


def _keywords(dockerfile: Dockerfile) -> dict[int, str]:
    """How the keyword on a line is written."""
    return {node.first_line: node.keyword for node in dockerfile.nodes}


def _of_lines(dockerfile: Dockerfile) -> _Found:
    for oddity in dockerfile.oddities:
        yield Finding(
            Rule.NO_EMPTY_CONTINUATION, "Empty continuation line", oddity.line, oddity.line
        )
    yield from _casing(dockerfile.nodes)
    for node in dockerfile.nodes:
        keyword = node.keyword.upper()
        if keyword == "FROM" and len(node.words) == 3:
            yield from _stage_name(node)
        if keyword == "MAINTAINER":
            message = "Maintainer instruction is deprecated in favor of using label"
            yield _at(node, Rule.MAINTAINER_DEPRECATED, message)
        if keyword == "ARG":
            names = [word.partition("=")[0] for word in node.words]
            yield from _description(node, "ARG", names)


def _casing(nodes: Sequence[Node]) -> _Found:
    # ARGs before the first FROM belong to no stage, and are not looked at
    first = next((at for at, node in enumerate(nodes) if node.keyword.upper() == "FROM"), 0)
    keywords = [node.keyword for node in nodes[first:]]
    lower = sum(keyword == keyword.lower() for keyword in keywords)
    upper = sum(keyword == keyword.upper() for keyword in keywords)
    for node in nodes[first:]:
        wanted = node.keyword.lower() if lower > upper else node.keyword.upper()
        if node.keyword != wanted:
            casing = "lowercase" if lower > upper else "uppercase"
            message = (
                f"Command '{node.keyword}' should match the case of the command majority ({casing})"
            )
            yield _at(node, Rule.CONSISTENT_INSTRUCTION_CASING, message)


def _stage_name(node: Node) -> _Found:
    keyword, (_, word, name) = node.keyword, node.words
    if name != name.lower():
        message = f"Stage name '{name}' should be lowercase"
        yield _at(node, Rule.STAGE_NAME_CASING, message)
    if keyword in (keyword.lower(), keyword.upper()):
        wanted = word.lower() if keyword == keyword.lower() else word.upper()
        if word != wanted:
            message = f"'{word}' and '{keyword}' keywords' casing do not match"
            yield _at(node, Rule.FROM_AS_CASING, message)
    yield from _description(node, "FROM", [name.lower()])


def _description(node: Node, keyword: str, names: list[str]) -> _Found:
    if node.comments and names and node.comments[-1].split(" ")[0] not in names:
        name = names[0] if len(names) == 1 else "<arg_key>"
        message = f"Comment for {keyword} should follow the format: `# {name} <description>`"
        yield _at(node, Rule.INVALID_DEFINITION_DESCRIPTION, message)


def _of_froms(planned: Plan) -> _Found:
    lexer = Lexer(planned.escape)
    declared = {name for arg in planned.declared for name, _ in arg.pairs} | set(planned.meta)
    names: set[str] = set()
    for stage in planned.stages:
        place = stage.from_
        if stage.name in _RESERVED:
            message = (
                f"Stage name should not use the same name as reserved stage {quote(stage.name)}"
            )
            yield _at(place, Rule.RESERVED_STAGE_NAME, message)
        if stage.name in names:
            message = f"Duplicate stage name {quote(stage.name)}, stage names should be unique"
            yield _at(place, Rule.DUPLICATE_STAGE_NAME, message)
        names |= {stage.name} if stage.name else set()
        for text in (place.base, place.platform):
            for name in sorted(lexer.read(text, planned.meta).unknown - declared):
                hint = did_you_mean(name, declared)
                message = f"FROM argument '{name}' is not declared{hint}"
                yield _at(place, Rule.UNDEFINED_ARG_IN_FROM, message)
        if place.platform:
            yield from _platform(stage, planned, lexer)
    yield from _defaults(planned, lexer)


def _platform(stage: Stage, planned: Plan, lexer: Lexer) -> _Found:
    text = stage.from_.platform
    expanded = lexer.read(text, planned.meta)
    if expanded.known == {"TARGETPLATFORM"} and not expanded.unknown:
        if expanded.text == planned.meta["TARGETPLATFORM"]:
            message = (
                f"Setting platform to predefined {text} in FROM is redundant as this is the "
                "default behavior"
            )
            yield _at(stage.from_, Rule.REDUNDANT_TARGET_PLATFORM, message)
    elif not expanded.known and not expanded.unknown and stage.platform:
        if stage.platform.os in stage.name or stage.platform.architecture in stage.name:
            return
        message = f"FROM --platform flag should not use constant value {quote(expanded.text)}"
        yield _at(stage.from_, Rule.FROM_PLATFORM_FLAG_CONST_DISALLOWED, message)


def _defaults(planned: Plan, lexer: Lexer) -> _Found:
    """Names of bases as they would be if no build argument were given."""
    try:
        meta = _without_arguments(planned, lexer)
    except DockerfileError:
        return
    for stage in planned.stages:
        try:
            Reference.parse(lexer.read(stage.from_.base, meta).text)
        except (InvalidReference, DockerfileError):
            message = (
                f"Default value for ARG {stage.from_.base} results in empty or invalid base "
                "image name"
            )
            yield _at(stage.from_, Rule.INVALID_DEFAULT_ARG_IN_FROM, message)


def _without_arguments(planned: Plan, lexer: Lexer) -> dict[str, str]:
    meta = {name: value for name, value in planned.meta.items() if name not in planned.args}
    for arg in planned.declared:
        for name, default in arg.pairs:
            if default is not None:
                meta[name] = lexer.read(default, meta).text
    return meta


def _of_steps(
    planned: Plan, keywords: Mapping[int, str], bases: Bases, ignored: Matcher | None
) -> _Found:
    done: dict[int, tuple[Vertex, ...]] = {}
    known: dict[int, bool] = {}
    absolute: dict[int, bool] = {}
    for stage in planned.stages:
        config: Mapping[str, Any] = bases.get(stage.index, {})
        inherited: Mapping[str, str] = {}
        known[stage.index] = stage.index in bases or not isinstance(stage.base, ImageRef)
        absolute[stage.index] = False
        if isinstance(stage.base, StageRef):
            below = stage.base.index
            known[stage.index], absolute[stage.index] = known[below], absolute[below]
            last = done[below][-1:]
            config = last[0].config if last else bases.get(below, {})
            inherited = last[0].args if last else {}
        found = vertices(planned, stage, config, inherited=inherited, style=Style.BUILDKIT)
        done[stage.index] = found
        walk = _Walk(keywords, configs.of_base(config), known[stage.index], ignored)
        walk.workdir_set = absolute[stage.index]
        for vertex in found:
            yield from walk.step(vertex)
        absolute[stage.index] = walk.workdir_set


class _Walk:
    """One stage from its first step to its last."""

    def __init__(
        self,
        keywords: Mapping[int, str],
        config: Mapping[str, Any],
        known: bool,
        ignored: Matcher | None,
    ) -> None:
        self._keywords = keywords
        self._before = config
        self._known = known
        self._ignored = ignored
        self._once: dict[type, Vertex] = {}
        self.workdir_set = False

    def step(self, vertex: Vertex) -> _Found:
        """What there is to say about a step."""
        step = vertex.instruction
        keyword = self._keywords.get(step.first_line, step.keyword)
        if self._known:
            yield from self._undefined(vertex)
        if isinstance(step, Env | Label) and step.legacy:
            message = (
                f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" '
                "format"
            )
            yield _at(step, Rule.LEGACY_KEY_VALUE_FORMAT, message)
        if isinstance(step, Env | Arg):
            yield from self._secrets(step)
        if isinstance(step, Cmd | Entrypoint):
            yield from self._json(step, keyword)
        if isinstance(step, _ONCE):
            yield from self._only_once(vertex, keyword)
        if isinstance(step, Workdir):
            yield from self._workdir(step)
        if isinstance(step, Expose):
            yield from self._ports(step)
        if isinstance(step, Copy | Add) and not (isinstance(step, Copy) and step.from_):
            yield from self._sources(step)
        self._before = vertex.config

    def _undefined(self, vertex: Vertex) -> _Found:
        variables = {*configs.variables(self._before), *vertex.args}
        for name in vertex.undefined:
            hint = did_you_mean(name, variables).replace("mean ", "mean $")
            message = f"Usage of undefined variable '${name}'{hint}"
            yield _at(vertex.instruction, Rule.UNDEFINED_VAR, message)

    def _secrets(self, step: Env | Arg) -> _Found:
        for name, _ in step.pairs:
            if _SECRET.search(name) and not _NO_SECRET.search(name):
                message = (
                    "Do not use ARG or ENV instructions for sensitive data "
                    f"({step.keyword} {quote(name)})"
                )
                yield _at(step, Rule.SECRETS_USED_IN_ARG_OR_ENV, message)

    def _json(self, step: Cmd | Entrypoint, keyword: str) -> _Found:
        if step.command.shell and not self._before.get("Shell"):
            message = (
                f"JSON arguments recommended for {keyword} to prevent unintended behavior "
                "related to OS signals"
            )
            yield _at(step, Rule.JSON_ARGS_RECOMMENDED, message)

    def _only_once(self, vertex: Vertex, keyword: str) -> _Found:
        kind = type(vertex.instruction)
        if kind in self._once:
            message = (
                f"Multiple {keyword} instructions should not be used in the same stage because "
                "only the last one will be used"
            )
            place = self._once[kind].instruction
            yield _at(place, Rule.MULTIPLE_INSTRUCTIONS_DISALLOWED, message)
        self._once[kind] = vertex

    def _workdir(self, step: Workdir) -> _Found:
        if not self.workdir_set and not step.path.startswith("/"):
            message = (
                f"Relative workdir {quote(step.path)} can have unexpected results if the base "
                "image changes"
            )
            yield _at(step, Rule.WORKDIR_RELATIVE_PATH, message)
        self.workdir_set = True

    def _ports(self, step: Expose) -> _Found:
        for port in step.ports:
            bare, _, protocol = port.partition("/")
            if protocol != protocol.lower():
                message = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
                yield _at(step, Rule.EXPOSE_PROTO_CASING, message)
            if ":" in bare:
                message = (
                    "EXPOSE instruction should not define an IP address or host-port mapping, "
                    f"found '{port}'"
                )
                yield _at(step, Rule.EXPOSE_INVALID_FORMAT, message)

    def _sources(self, step: Copy | Add) -> _Found:
        if not self._ignored or self._ignored.brings_back:
            return
        for source in step.sources:
            path = configs.absolute("/", source)[1:]
            if not is_url(source) and not is_git(source) and self._ignored.ignored(path):
                word = step.keyword.capitalize()
                message = (
                    f"Attempting to {word} file {quote(source)} that is excluded by .dockerignore"
                )
                yield _at(step, Rule.COPY_IGNORED_FILE, message)
