"""IREE's script: run with compilers that note their arguments."""

from pathlib import Path

from bundles import KINDS, make_bundle
from elic_export.targets.write import write_targets
from outputs import graph_at, run_script, section


def test_iree(bundle, tmp_path):
    manifest, folder = bundle
    calls = run_script(folder, "iree/build.sh", ["iree-import-onnx", "iree-compile"], tmp_path)
    imports, compiles = calls[0::2], calls[1::2]
    assert [graph_at(folder, "iree", call[1]) for call in imports] == list(manifest.subgraphs)
    for name, (_, _, o, mlir), compiled in zip(manifest.subgraphs, imports, compiles, strict=True):
        assert o == compiled[-2] == "-o"
        assert compiled[-3] == mlir
        assert Path(compiled[-1]).name == f"{name}.vmfb"
        assert compiled[1:-3] == [
            "--iree-hal-target-device=local",
            "--iree-hal-local-target-device-backends=llvm-cpu",
            "--iree-llvmcpu-target-cpu=host",
        ]


def test_readme_warns_of_the_rewrite_that_it_does_not_take(tmp_path):
    manifest = make_bundle(tmp_path, **KINDS["static"])
    for rewrites in ((), ("fold_output_padding",)):
        write_targets(manifest.model_copy(update={"rewrites": rewrites}), tmp_path)
        assert ("`fold_output_padding` makes: leave it out" in section(tmp_path, "IREE")) == bool(rewrites)
