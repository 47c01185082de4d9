#!/bin/sh
# jax 0.10.2 on a CPU: the remainder of floats costs many times what the same by floor costs.
#
# Expected: x % 6.0 in a compiled program is vectorised like other arithmetic, near the cost of
# x - 6.0 * floor(x / 6.0), as both read and write each number once. Seen: XLA calls the scalar
# fmod of the C library for each number, 60 times slower here; one such line was two
# thirds of the time of a renderer. The ratio of the two times is checked, 3 at the least.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet "jax==0.10.2" "jaxlib==0.10.2"
JAX_PLATFORMS=cpu "$dir/venv/bin/python" - <<'PY'
import sys
import time

import jax
import jax.numpy as jnp

x = jnp.linspace(0.0, 1e4, 1_000_000)
ways = {
    "remainder": jax.jit(lambda x: (x % 6.0).sum()),
    "floor": jax.jit(lambda x: (x - 6.0 * jnp.floor(x / 6.0)).sum()),
}
best = {}
for name, way in ways.items():
    way(x).block_until_ready()
    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        way(x).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    best[name] = min(seconds)
    print(f"{name}: {best[name] * 1e3:.2f} ns a number, sum {float(way(x)):.0f}")
ratio = best["remainder"] / best["floor"]
print(f"ratio {ratio:.1f}")
if ratio < 3:
    sys.exit("this has changed")
PY
