"""Put the launcher and the handshake's file, which live at the top, into the wheel, and the README with its links."""

import re
from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

TOP = Path(__file__).resolve().parent
# Where the repository can be read by everybody, as https://HOST/OWNER/NAME. There is no such place yet.
PUBLIC = ""


def absolute(text: str, public: str) -> str:
    """Make relative links lead to `public`, for whoever reads the text elsewhere; pictures are wanted raw."""
    if not public:
        return text
    link = re.compile(r"(!?)(\[[^\]]*\]\()(?!https?://|#)(?=[^)\s]+\))")
    return link.sub(lambda found: f"{found[0]}{public}/{'raw' if found[1] else 'blob'}/main/", text)


class WithLauncher(build_py):
    """Build the package with its two data files."""

    def run(self) -> None:
        """Copy them beside the built modules."""
        super().run()
        data = Path(self.build_lib) / "docker_nsenter/data"
        data.mkdir(parents=True, exist_ok=True)
        copyfile(TOP / "plugin/docker-nsenter", data / "docker-nsenter")
        copyfile(TOP / "docker-cli-plugin-metadata", data / "docker-cli-plugin-metadata")


if __name__ == "__main__":
    setup(
        cmdclass={"build_py": WithLauncher},
        long_description=absolute((TOP / "README.md").read_text(encoding="utf-8"), PUBLIC),
        long_description_content_type="text/markdown",
    )
