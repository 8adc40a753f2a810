"""The kit as it is installed: its wheel, in virtual environments that know nothing of this checkout."""

import subprocess
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

from tiny_backend import KIT

PYTHON = KIT / ".venv" / "bin" / "python"
OURS = Path(sysconfig.get_paths()["purelib"])  # what is installed for this Python, the kit aside


@dataclass(frozen=True)
class Installed:
    """A virtual environment; `python` is its interpreter."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Where its packages are."""
        [found] = self.folder.glob("lib/python3*/site-packages")
        return found

    def install(self, wheel: Path) -> "Installed":
        """Install a wheel, without what it needs."""
        arguments = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check", str(wheel))
        subprocess.run([PYTHON, "-m", "pip", "--python", self.python, "install", *arguments], check=True)
        return self


def build(folder: Path) -> Path:
    """Build the kit's wheel from the checkout, by what is installed, and return it."""
    arguments = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check")
    subprocess.run([PYTHON, "-m", "pip", "wheel", *arguments, "--wheel-dir", folder, KIT], check=True)
    [wheel] = folder.glob("pgdst-*.whl")
    return wheel


def environment(folder: Path, *, shares: bool = True) -> Installed:
    """Make a virtual environment, which finds what is installed here unless it is to have nothing."""
    venv.create(folder, symlinks=True)
    made = Installed(folder)
    if shares:
        (made.packages / "shared.pth").write_text(f"{OURS}\n")
    return made
