"""Variables of an instruction replaced by their values. Which parts have some is the reference's
"Environment replacement".
"""

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from engine.builder import mounts
from engine.builder.errors import DockerfileError
from engine.builder.instructions import (
    Add,
    Arg,
    Copy,
    Env,
    Expose,
    Heredoc,
    Instruction,
    Label,
    Run,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from engine.builder.words import Lexer
from engine.values import dataclass, field, replace

_Any = TypeVar("_Any", bound=Instruction)
_Pair = tuple[str, str]


@dataclass(frozen=True)
class Expander:
    """Replaces variables, and remembers those that were met."""

    variables: Mapping[str, str]
    escape: str = "\\"
    unknown: set[str] = field(default_factory=set)

    def word(self, text: str) -> str:
        """One word."""
        expanded = Lexer(self.escape).read(text, self.variables)
        self.unknown.update(expanded.unknown)
        return expanded.text

    def words(self, text: str) -> tuple[str, ...]:
        """As many words as the result has."""
        expanded = Lexer(self.escape).read(text, self.variables)
        self.unknown.update(expanded.unknown)
        return expanded.words

    def file(self, heredoc: Heredoc) -> Heredoc:
        """A file that stands in the Dockerfile: quotes mean nothing there."""
        if not heredoc.expand:
            return heredoc
        expanded = Lexer("\\", quotes=False).read(heredoc.content, self.variables)
        self.unknown.update(expanded.unknown)
        return replace(heredoc, content=expanded.text, expand=False)


def expand(instruction: _Any, variables: Mapping[str, str], escape: str = "\\") -> _Any:
    """The instruction with its variables replaced. Raises DockerfileError."""
    return expand_by(Expander(variables, escape), instruction)


def expand_by(expander: Expander, instruction: _Any) -> _Any:
    """As `expand`, with an expander of one's own."""
    expanding = _EXPANDING.get(type(instruction))
    if expanding is None:
        return instruction
    try:
        return cast(_Any, expanding(expander, instruction))
    except DockerfileError as error:
        raise error.at(instruction.first_line) from error


def _env(by: Expander, env: Env) -> Env:
    return replace(env, pairs=_pairs(by, env.pairs))


def _label(by: Expander, label: Label) -> Label:
    return label if label.literal else replace(label, pairs=_pairs(by, label.pairs))


def _pairs(by: Expander, pairs: tuple[_Pair, ...]) -> tuple[_Pair, ...]:
    return tuple((by.word(name), by.word(value)) for name, value in pairs)


def _arg(by: Expander, arg: Arg) -> Arg:
    pairs = (
        (by.word(name), None if value is None else by.word(value)) for name, value in arg.pairs
    )
    return replace(arg, pairs=tuple(pairs))


def _run(by: Expander, run: Run) -> Run:
    return replace(run, mounts=tuple(mounts.parse(text, by.word) for text in run.mount_texts))


def _copy(by: Expander, copy: Copy) -> Copy:
    return replace(
        copy,
        sources=tuple(by.word(source) for source in copy.sources),
        destination=by.word(copy.destination),
        heredocs=tuple(by.file(heredoc) for heredoc in copy.heredocs),
        chown=by.word(copy.chown),
        chmod=by.word(copy.chmod),
    )


def _add(by: Expander, add: Add) -> Add:
    return replace(
        add,
        sources=tuple(by.word(source) for source in add.sources),
        destination=by.word(add.destination),
        heredocs=tuple(by.file(heredoc) for heredoc in add.heredocs),
        chown=by.word(add.chown),
        chmod=by.word(add.chmod),
        checksum=by.word(add.checksum),
    )


def _workdir(by: Expander, workdir: Workdir) -> Workdir:
    return replace(workdir, path=by.word(workdir.path))


def _user(by: Expander, user: User) -> User:
    return replace(user, user=by.word(user.user))


def _volume(by: Expander, volume: Volume) -> Volume:
    return replace(volume, paths=tuple(by.word(path) for path in volume.paths))


def _expose(by: Expander, expose: Expose) -> Expose:
    return replace(expose, ports=tuple(word for port in expose.ports for word in by.words(port)))


def _stopsignal(by: Expander, stop: StopSignal) -> StopSignal:
    return replace(stop, signal=by.word(stop.signal))


_EXPANDING: dict[type, Callable[..., Instruction]] = {
    Add: _add,
    Arg: _arg,
    Copy: _copy,
    Env: _env,
    Expose: _expose,
    Label: _label,
    Run: _run,
    StopSignal: _stopsignal,
    User: _user,
    Volume: _volume,
    Workdir: _workdir,
}
