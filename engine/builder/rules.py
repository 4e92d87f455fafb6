"""The checks that Docker publishes for Dockerfiles: names, what they are about, and options."""

from enum import StrEnum

from engine.builder.errors import DockerfileError
from engine.builder.text import quote, trim
from engine.values import dataclass

_PAGES = "https://docs.docker.com/go/dockerfile/rule/"
_TRUE = frozenset("1 t T TRUE true True".split())
_FALSE = frozenset("0 f F FALSE false False".split())


class Rule(StrEnum):
    """A check by its name."""

    STAGE_NAME_CASING = "StageNameCasing"
    FROM_AS_CASING = "FromAsCasing"
    NO_EMPTY_CONTINUATION = "NoEmptyContinuation"
    CONSISTENT_INSTRUCTION_CASING = "ConsistentInstructionCasing"
    DUPLICATE_STAGE_NAME = "DuplicateStageName"
    RESERVED_STAGE_NAME = "ReservedStageName"
    JSON_ARGS_RECOMMENDED = "JSONArgsRecommended"
    MAINTAINER_DEPRECATED = "MaintainerDeprecated"
    UNDEFINED_ARG_IN_FROM = "UndefinedArgInFrom"
    WORKDIR_RELATIVE_PATH = "WorkdirRelativePath"
    UNDEFINED_VAR = "UndefinedVar"
    MULTIPLE_INSTRUCTIONS_DISALLOWED = "MultipleInstructionsDisallowed"
    LEGACY_KEY_VALUE_FORMAT = "LegacyKeyValueFormat"
    INVALID_BASE_IMAGE_PLATFORM = "InvalidBaseImagePlatform"
    REDUNDANT_TARGET_PLATFORM = "RedundantTargetPlatform"
    SECRETS_USED_IN_ARG_OR_ENV = "SecretsUsedInArgOrEnv"
    INVALID_DEFAULT_ARG_IN_FROM = "InvalidDefaultArgInFrom"
    FROM_PLATFORM_FLAG_CONST_DISALLOWED = "FromPlatformFlagConstDisallowed"
    COPY_IGNORED_FILE = "CopyIgnoredFile"
    INVALID_DEFINITION_DESCRIPTION = "InvalidDefinitionDescription"
    EXPOSE_PROTO_CASING = "ExposeProtoCasing"
    EXPOSE_INVALID_FORMAT = "ExposeInvalidFormat"

    @property
    def description(self) -> str:
        """What it wants."""
        return _DESCRIPTIONS[self]

    @property
    def url(self) -> str:
        """Where it's explained."""
        if self is Rule.JSON_ARGS_RECOMMENDED:
            return f"{_PAGES}json-args-recommended/"
        words = "".join(f"-{each.lower()}" if each.isupper() else each for each in self.value)
        return f"{_PAGES}{words[1:]}/"


EXPERIMENTAL = frozenset({Rule.COPY_IGNORED_FILE, Rule.INVALID_DEFINITION_DESCRIPTION})
_DESCRIPTIONS = {
    Rule.STAGE_NAME_CASING: "Stage names should be lowercase",
    Rule.FROM_AS_CASING: "The 'as' keyword should match the case of the 'from' keyword",
    Rule.NO_EMPTY_CONTINUATION: ("Empty continuation lines will become errors in a future release"),
    Rule.CONSISTENT_INSTRUCTION_CASING: (
        "All commands within the Dockerfile should use the same casing (either upper or lower)"
    ),
    Rule.DUPLICATE_STAGE_NAME: "Stage names should be unique",
    Rule.RESERVED_STAGE_NAME: "Reserved words should not be used as stage names",
    Rule.JSON_ARGS_RECOMMENDED: (
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to "
        "OS signals"
    ),
    Rule.MAINTAINER_DEPRECATED: (
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author"
    ),
    Rule.UNDEFINED_ARG_IN_FROM: "FROM command must use declared ARGs",
    Rule.WORKDIR_RELATIVE_PATH: (
        "Relative workdir without an absolute workdir declared within the build can have "
        "unexpected results if the base image changes"
    ),
    Rule.UNDEFINED_VAR: "Variables should be defined before their use",
    Rule.MULTIPLE_INSTRUCTIONS_DISALLOWED: (
        "Multiple instructions of the same type should not be used in the same stage"
    ),
    Rule.LEGACY_KEY_VALUE_FORMAT: (
        "Legacy key/value format with whitespace separator should not be used"
    ),
    Rule.INVALID_BASE_IMAGE_PLATFORM: (
        "Base image platform does not match expected target platform"
    ),
    Rule.REDUNDANT_TARGET_PLATFORM: (
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the "
        "default behavior"
    ),
    Rule.SECRETS_USED_IN_ARG_OR_ENV: (
        "Sensitive data should not be used in the ARG or ENV commands"
    ),
    Rule.INVALID_DEFAULT_ARG_IN_FROM: (
        "Default value for global ARG results in an empty or invalid base image name"
    ),
    Rule.FROM_PLATFORM_FLAG_CONST_DISALLOWED: (
        "FROM --platform flag should not use a constant value"
    ),
    Rule.COPY_IGNORED_FILE: "Attempting to Copy file that is excluded by .dockerignore",
    Rule.INVALID_DEFINITION_DESCRIPTION: (
        "Comment for build stage or argument should follow the format: "
        "`# <arg/stage name> <description>`. If this is not intended to be a description comment, "
        "add an empty line or comment between the instruction and the comment."
    ),
    Rule.EXPOSE_PROTO_CASING: "Protocol in EXPOSE instruction should be lowercase",
    Rule.EXPOSE_INVALID_FORMAT: (
        "IP address and host-port mapping should not be used in EXPOSE instruction. "
        "This will become an error in a future release"
    ),
}


@dataclass(frozen=True)
class Finding:
    """What a check found, and the lines that it's about."""

    rule: Rule
    message: str
    first_line: int
    last_line: int


@dataclass(frozen=True)
class Options:
    """Which checks are made, and whether a finding makes the build fail."""

    skipped: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    skip_all: bool = False
    all_experimental: bool = False
    fails: bool = False

    @classmethod
    def parse(cls, text: str) -> "Options":
        """Read `skip=A,B;error=true;experimental=all`. Raises DockerfileError."""
        given: dict[str, str] = {}
        for part in trim(text).split(";", 2) if trim(text) else ():
            name, equals, value = part.partition("=")
            if not equals:
                raise DockerfileError(f"invalid check option {quote(part)}")
            if trim(name) not in ("skip", "error", "experimental"):
                raise DockerfileError(f"invalid check option {quote(trim(name))}")
            given[trim(name)] = trim(value)
        skipped, experimental = given.get("skip", ""), given.get("experimental", "")
        error = given.get("error", "false")
        if error not in _TRUE | _FALSE:
            raise DockerfileError(
                f"failed to parse check option {quote(f'error={error}')}: strconv.ParseBool: "
                f"parsing {quote(error)}: invalid syntax"
            )
        return cls(
            skipped=_names(skipped),
            experimental=_names(experimental),
            skip_all=skipped == "all",
            all_experimental=experimental == "all",
            fails=error in _TRUE,
        )

    def wants(self, rule: Rule) -> bool:
        """Whether a check is made."""
        if self.skip_all or rule in self.skipped:
            return False
        return rule not in EXPERIMENTAL or self.all_experimental or rule in self.experimental


def _names(text: str) -> frozenset[str]:
    return frozenset(trim(name) for name in text.split(",") if trim(name))
