"""Lists the experiments: what each one does, and how long its default takes.

python -m experiments
"""

import ast
import re
import sys
from pathlib import Path

TIME = re.compile(r"The default takes (.+?) on two cores", re.DOTALL)


def listing() -> list[tuple[str, str, str]]:
    """(script, first line of its docstring, time of its default) of each; nothing is imported."""
    rows = []
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found = TIME.search(doc)
        time = " ".join(found[1].split()) if found else ""
        rows.append((path.stem, doc.partition("\n")[0], time))
    return rows


def main() -> None:
    """Prints the table."""
    if len(sys.argv) > 1 and sys.argv[1] not in ("--help", "-h"):
        sys.exit(f"error: unexpected argument {sys.argv[1]!r}: python -m experiments.NAME --help")
    print("python -m experiments.NAME [--flag=value ...]; --help lists the flags of each\n")
    rows = listing()
    width = max(len(name) for name, _, _ in rows)
    for name, line, time in rows:
        print(f"  {name:<{width}}  {line}" + (f" ({time})" if time else ""))


if __name__ == "__main__":
    main()
