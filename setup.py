"""Put the launcher and the handshake's file, which live at the top, into the wheel."""

from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

TOP = Path(__file__).resolve().parent


class WithLauncher(build_py):
    """Build the package with its two data files."""

    def run(self) -> None:
        """Copy them beside the built modules."""
        super().run()
        data = Path(self.build_lib) / "docker_nsenter/data"
        data.mkdir(parents=True, exist_ok=True)
        copyfile(TOP / "plugin/docker-nsenter", data / "docker-nsenter")
        copyfile(TOP / "docker-cli-plugin-metadata", data / "docker-cli-plugin-metadata")


setup(cmdclass={"build_py": WithLauncher})
