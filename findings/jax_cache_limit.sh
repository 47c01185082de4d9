#!/bin/sh
# jax 0.10.2, filelock 3.20.0: a limit on the folder of compiled programs switches the keeping off.
#
# Expected: with jax_compilation_cache_max_size, a folder that was filled without that limit goes on
# being used; the least recently used programs are deleted when it is full. Seen: nothing is written
# any more, however small the folder is, with a warning for each program (FileNotFoundError of a
# file "...-atime"): each entry is expected to have a file beside it that only a process with a
# limit writes. What was kept before is still read.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet "jax==0.10.2" "jaxlib==0.10.2" "filelock==3.20.0"
cat >"$dir/compile.py" <<'PY'
import sys

import jax

folder, limit, number = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
jax.config.update("jax_compilation_cache_dir", folder)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_compilation_cache_max_size", limit)
jax.jit(lambda x: x * number)(2.0)
PY
export JAX_PLATFORMS=cpu
"$dir/venv/bin/python" "$dir/compile.py" "$dir/kept" -1 3
before=$(find "$dir/kept" -name "*-cache" | wc -l)
"$dir/venv/bin/python" "$dir/compile.py" "$dir/kept" 1000000000 5 2>"$dir/err"
after=$(find "$dir/kept" -name "*-cache" | wc -l)
"$dir/venv/bin/python" "$dir/compile.py" "$dir/fresh" 1000000000 5
fresh=$(find "$dir/fresh" -name "*-cache" | wc -l)
warnings=$(grep -c "FileNotFoundError" "$dir/err" || true)
echo "kept without a limit: $before; with one, in the same folder: $after ($warnings warnings); in a new one: $fresh"
[ "$before" -gt 0 ] && [ "$after" -eq "$before" ] && [ "$warnings" -gt 0 ] && [ "$fresh" -gt 0 ]
