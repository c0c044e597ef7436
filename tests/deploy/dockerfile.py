"""Reads Dockerfiles as far as ours go: instructions by stage, without here-documents and quoting."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    :param keyword: in capitals, e.g. `COPY`.
    :param text: the rest, continuation lines joined.
    """

    keyword: str
    text: str

    @property
    def flags(self) -> dict[str, str]:
        """`--from=build` as `from: build`."""
        return dict(re.findall(r"(?:^|\s)--([a-z]+)=(\S+)", self.text))

    @property
    def words(self) -> list[str]:
        """The words that are no flags."""
        return [word for word in self.text.split() if not re.match(r"--[a-z]+=", word)]


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next.

    :param base: image that it begins with, build arguments filled in.
    """

    base: str
    instructions: list[Instruction]

    def all(self, keyword: str) -> list[Instruction]:
        """The instructions with this keyword."""
        return [instruction for instruction in self.instructions if instruction.keyword == keyword]

    def last(self, keyword: str) -> str:
        """The text of the one that counts."""
        return self.all(keyword)[-1].text

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        return dict(pair.split("=", 1) for instruction in self.all("ENV") for pair in instruction.words)


def stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, in order."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            found.append(Stage(re.sub(r"\$\{(\w+)\}", lambda name: arguments[name[1]], rest.split()[0]), []))
        elif found:
            found[-1].instructions.append(Instruction(keyword, rest.strip()))
        else:
            name, _, default = rest.partition("=")
            arguments[name] = default
    return found
