"""What a suite gave, beside what is known to fail and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Results:
    """Names of tests by how they ended."""

    suite: str
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def report(self, known: Mapping[str, str]) -> bool:
        """Print totals, known failures with their reasons, and the others; True without others.

        `known` maps the beginning of a test's name to the reason why it fails.
        """
        reasons: dict[str, list[str]] = {}
        unknown = []
        for name in self.failed:
            reason = next((why for start, why in known.items() if name.startswith(start)), "")
            if reason:
                reasons.setdefault(reason, []).append(name)
            else:
                unknown.append(name)
        print(
            f"\n{self.suite}: {len(self.passed)} passed, {len(self.failed)} failed "
            f"({len(self.failed) - len(unknown)} as expected), {len(self.left_out)} left out"
        )
        for reason, names in reasons.items():
            print(f"  expected: {reason}")
            for name in names:
                print(f"    {name}")
        for name in unknown:
            print(f"  UNEXPECTED: {name}")
        return not unknown
