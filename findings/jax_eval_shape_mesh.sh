#!/bin/sh
# jax 0.10.2: within a program for a mesh, shapes from eval_shape know no mesh: what is asked with
# them is traced again where it is called.
#
# Expected: a function under jax.jit, asked for its results' shapes by jax.eval_shape within a
# program and then called there with an array of that shape and dtype, is traced once. Seen: with a
# plain argument to the program so it is; where the argument has a NamedSharding, twice, since the
# types of the shapes, equal when printed, differ in their mesh. Asked with the array itself: once.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet "jax==0.10.2" "jaxlib==0.10.2"
cat >"$dir/shapes.py" <<'PY'
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

mesh = Mesh(np.array(jax.devices()), ("data",))
plain = jnp.arange(8.0)
meshed = jax.device_put(plain, NamedSharding(mesh, PartitionSpec("data")))


def traces(array, by_shapes):
    """How often f is traced in a program of that argument."""
    traced = []

    @jax.jit
    def f(x):
        traced.append(x)
        return 2 * x

    def program(x):
        asked = jax.eval_shape(lambda x: x + 1, x) if by_shapes else x + 1
        jax.eval_shape(f, asked)
        return f(x + 1)

    jax.jit(program)(array)
    return len(traced)


found = [traces(x, by_shapes) for x in (plain, meshed) for by_shapes in (True, False)]
print("traced, plain: by shapes, by array; with a mesh: by shapes, by array:", found)
raise SystemExit(found != [1, 1, 2, 1])
PY
JAX_PLATFORMS=cpu "$dir/venv/bin/python" "$dir/shapes.py"
