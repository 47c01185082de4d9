#!/bin/sh
# orbax-checkpoint 0.12.8 with jax 0.10.2: a pytree with an array of no elements can't be saved.
#
# Expected: an array of shape (0, 3) is a valid leaf of a pytree: jax computes with it, numpy.save
# and pickle keep it. It stands for "none of these" where a size is a setting: no prototypes, no
# other cars, an empty memory. Seen: StandardCheckpointer raises "Cannot save arrays with zero
# size", and nothing of the tree is saved. A state must leave such leaves out (None instead).
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet "orbax-checkpoint==0.12.8" "jax==0.10.2" "jaxlib==0.10.2"
JAX_PLATFORMS=cpu "$dir/venv/bin/python" - "$dir" <<'PY'
import io
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

tree = {"weights": jnp.ones(2), "others": jnp.zeros((0, 3))}
file = io.BytesIO()
np.savez(file, **tree)
file.seek(0)
kept = np.load(file)["others"].shape
print("numpy keeps the shape", kept)
try:
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(Path(sys.argv[1]) / "tree", tree)
        checkpointer.wait_until_finished()
    seen = "saved"
except ValueError as error:
    seen = f"ValueError: {str(error)[:40]}"
print("orbax:", seen)
if kept != (0, 3) or "Cannot save arrays with zero size" not in seen:
    sys.exit("this has changed")
PY
