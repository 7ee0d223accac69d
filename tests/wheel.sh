#!/usr/bin/env bash
# The package as somebody gets it who has no checkout: sdist, wheel from the sdist, a new environment, fer-demo in an empty folder.
# tests/wheel.sh PYTHON [PIP OPTION...]    PYTHON has hatchling; installing takes minutes and gigabytes; nothing is left behind
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(realpath -s "$1")
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m hatchling build -t sdist -d "$folder/built"
"$python" -m pip wheel --quiet --no-deps --no-build-isolation -w "$folder/built" "$folder"/built/*.tar.gz
ls -l "$folder/built"
"$python" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "$@" "$folder"/built/*.whl

mkdir "$folder/empty"
cd "$folder/empty"
for command in "$folder"/env/bin/fer-*; do "$command" --version; done
"$folder/env/bin/fer-demo"
test -s demo/report/table.md
test "$(ls)" = demo
echo "the wheel works: $(du -sh demo | cut -f1) in an empty folder"
