#!/bin/sh
# jax 0.10.2: device_put without a device gathers random keys on one device; other arrays stay put.
#
# Expected: jax.device_put(tree) without a device leaves an array that lies on devices where it is,
# and with may_alias=False returns a copy there. Seen: so it does for numbers; an array of typed keys
# (jax.random.key), sharded over four devices, comes back on one. With its own sharding named,
# device_put(keys, keys.sharding), it keeps all four.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet "jax==0.10.2" "jaxlib==0.10.2"
cat >"$dir/put.py" <<'PY'
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

sharding = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
arrays = {"numbers": jax.numpy.arange(8), "keys": jax.random.split(jax.random.key(0), 8)}
found = {}
for name, array in arrays.items():
    spread = jax.device_put(array, sharding)
    ways = spread, jax.device_put(spread), jax.device_put(spread, may_alias=False)
    ways += (jax.device_put(spread, spread.sharding, may_alias=False),)
    found[name] = [len(x.sharding.device_set) for x in ways]
    print(name, "on devices: spread, device_put, without aliasing, with its sharding:", found[name])
raise SystemExit(found != {"numbers": [4, 4, 4, 4], "keys": [4, 1, 1, 4]})
PY
JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=4 \
  "$dir/venv/bin/python" "$dir/put.py"
