"""The colour tokens of both schemes. Text keeps 4.5 to 1 on every surface, graphics 3 to 1."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tokens:
    """One scheme; every value is `#RRGGBB`, the scrim `#AARRGGBB`."""

    dark: bool
    text: str
    text2: str
    text3: str
    link: str
    ok: str
    warn: str
    err: str
    plum: str
    cyan: str
    on: str
    accent: str
    accent_hover: str
    danger: str
    ok_soft: str
    warn_soft: str
    err_soft: str
    info_soft: str
    plum_soft: str
    cyan_soft: str
    mark: str
    ok_dot: str
    warn_dot: str
    err_dot: str
    off: str
    focus: str
    chart: str
    window: str
    sidebar: str
    inset: str
    raised: str
    hover: str
    press: str
    selected: str
    selected_idle: str
    line: str
    line2: str
    track: str
    segment: str
    segment_on: str
    scrim: str

    @property
    def info(self) -> str:
        """The text colour on `info_soft`."""
        return self.link


LIGHT = Tokens(
    dark=False,
    text="#1A1C21",
    text2="#4D535E",
    text3="#616873",
    link="#2C4FC4",
    ok="#17693A",
    warn="#7E4B00",
    err="#B0241D",
    plum="#7A3AA0",
    cyan="#0B6478",
    on="#FFFFFF",
    accent="#3558D6",
    accent_hover="#2A48B5",
    danger="#C22F27",
    ok_soft="#E2F5E9",
    warn_soft="#FCF1D6",
    err_soft="#FDE9E7",
    info_soft="#E8EDFC",
    plum_soft="#F4E8FB",
    cyan_soft="#DFF3F7",
    mark="#FFE48F",
    ok_dot="#24904F",
    warn_dot="#B97700",
    err_dot="#DB423B",
    off="#7D8490",
    focus="#3558D6",
    chart="#3F62DC",
    window="#FFFFFF",
    sidebar="#F3F4F6",
    inset="#F8F9FA",
    raised="#FFFFFF",
    hover="#F1F2F5",
    press="#E7E9ED",
    selected="#E3E9FC",
    selected_idle="#EAEBEE",
    line="#E7E8EC",
    line2="#D2D5DB",
    track="#E3E5EA",
    segment="#EDEEF1",
    segment_on="#FFFFFF",
    scrim="#3814161E",
)

DARK = Tokens(
    dark=True,
    text="#ECEDF0",
    text2="#B5B9C2",
    text3="#9DA2AC",
    link="#A3B6FF",
    ok="#6AD394",
    warn="#EBB756",
    err="#FF978F",
    plum="#D3A6F0",
    cyan="#6CCBDF",
    on="#FFFFFF",
    accent="#4363DA",
    accent_hover="#3654C4",
    danger="#C9362D",
    ok_soft="#173022",
    warn_soft="#362A12",
    err_soft="#3E1F1E",
    info_soft="#222C4C",
    plum_soft="#36233F",
    cyan_soft="#15323A",
    mark="#5E4B12",
    ok_dot="#3DB56F",
    warn_dot="#D89B2B",
    err_dot="#F06359",
    off="#868C97",
    focus="#8AA2FF",
    chart="#7F98F8",
    window="#1D1E21",
    sidebar="#161719",
    inset="#17181B",
    raised="#28292D",
    hover="#25262A",
    press="#303238",
    selected="#26325A",
    selected_idle="#2E3035",
    line="#2C2E32",
    line2="#42454C",
    track="#34363C",
    segment="#26272B",
    segment_on="#3D3F46",
    scrim="#73000000",
)


def more_contrast(tokens: Tokens) -> Tokens:
    """The scheme for people who ask the system for more contrast."""
    return replace(tokens, line=tokens.line2, text3=tokens.text2)
