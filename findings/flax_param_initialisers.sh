#!/bin/sh
# flax 0.12.8 (jax 0.10.2): apply runs the initialiser of every parameter that is there already.
#
# Expected: an initialiser is called by init alone; apply, which is given the values, reads them. Seen:
# apply calls each initialiser once for each trace, under jax.eval_shape, to compare shapes (the
# source says so; its documentation says the function is called the first time the parameter is
# used). It is never compiled, but traced: half a millisecond to one for a parameter on an Intel Xeon,
# 7 % of what tracing the training step of a U-Net took.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet "flax==0.12.8" "jax==0.10.2" "jaxlib==0.10.2"
cat >"$dir/initialisers.py" <<'PY'
import flax.linen as nn
import jax
import jax.numpy as jnp

calls = []


def ones(key, shape, dtype=jnp.float32):
    calls.append(shape)
    return jnp.ones(shape, dtype)


net = nn.Sequential([nn.Dense(4, kernel_init=ones), nn.Dense(4, kernel_init=ones)])
x = jnp.ones((1, 4))
variables = net.init(jax.random.key(0), x)
by_init = len(calls)
step = jax.jit(net.apply)
step(variables, x)
by_first = len(calls) - by_init
step(variables, x)
by_second = len(calls) - by_init - by_first
print("initialisers called by init, by the first apply, by the second:", by_init, by_first, by_second)
raise SystemExit((by_init, by_first, by_second) != (2, 2, 0))
PY
JAX_PLATFORMS=cpu "$dir/venv/bin/python" "$dir/initialisers.py"
