"""Names and ids of containers: rules, conflicts, random names."""

import os
import re

from engine.errors import BadRequest, Conflict

_NAME = re.compile(r"^/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$")

ADJECTIVES = """able agile airy alert amber apt bold brave bright brisk calm candid cheery civil
clear clever
cosy crisp curious daring deft eager earnest easy fair fearless fine firm fleet fluent fond
frank free fresh gentle genuine giving glad golden graceful grand hardy hearty helpful honest
hopeful humble ideal jolly jovial joyful just keen kind lively loyal lucid lucky mellow merry
mighty mild modest neat nimble noble open patient placid plucky polite proud prudent quick quiet
ready robust serene sharp silent sincere smooth sober spry stable steady stoic subtle sunny
swift tender tidy tranquil true trusty upbeat valiant vivid warm wise witty zesty""".split()

SURNAMES = """abel ampere archimedes avogadro babbage banach bardeen bell bernoulli bohr
boltzmann boole born
bose brahe burnell cannon cantor carson cauchy celsius chandrasekhar church clarke copernicus
cori coulomb curie darwin dirac dijkstra doppler edison einstein elion erdos euclid euler
faraday fermat fermi feynman fibonacci fleming fourier franklin galileo galois gauss germain
goedel goodall hamilton hawking heisenberg hertz hilbert hodgkin hooke hopper hubble huygens
hypatia jackson johnson joliot kepler khayyam knuth kovalevskaya lagrange lamarr laplace
lavoisier leibniz liskov lovelace maxwell mcclintock meitner mendel mirzakhani morse napier nash
newton nightingale nobel noether ohm pascal pasteur pauli perlman planck poincare ptolemy
ramanujan riemann ride rutherford sagan shannon sinoussi snow sutherland tesla thales torvalds
turing vaughan volta watt wescoff wilson wing wozniak wu yalow yonath""".split()


def new_id() -> str:
    """64 hex digits, never all decimal in the first 12 (they double as a host name)."""
    while True:
        candidate = os.urandom(32).hex()
        if not candidate[:12].isdecimal():
            return candidate


def random_name(attempt: int = 0) -> str:
    """`adjective_surname`, with a digit after some failed attempts."""
    import secrets  # dear to import, and a container's id needs none of it

    name = f"{secrets.choice(ADJECTIVES)}_{secrets.choice(SURNAMES)}"
    return f"{name}{secrets.randbelow(10 * attempt)}" if attempt > 2 else name


def check_name(name: str) -> str:
    """The name without its slash. Raises BadRequest for characters that Docker refuses."""
    if not _NAME.match(name):
        raise BadRequest(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    return name.removeprefix("/")


def name_taken(name: str, holder: str) -> Conflict:
    """Docker's words for a name that another container has."""
    return Conflict(
        f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
