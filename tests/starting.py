"""How docker's plugin file starts Python, for tests that start it themselves."""

# Where there is a bundle of the start: with the directory of the package and that file as the first words
BEGIN = (
    "import marshal, posix, sys; file = posix.open(sys.argv[2], 0); "
    "begin, rows = marshal.loads(posix.read(file, 65536)); exec(begin); "
)
# Where there is none: with the directory alone
PLAIN = "import sys; library = sys.argv.pop(1); sys.path.insert(0, library); "
