"""What sweeps of tests run on: a model of no size and a machine of no speed."""

from harness.spec import Gpu, Model, Vendor

MODEL = Model(
    name="toy",
    label="Toy",
    weights="./toy",
    context=4096,
    layers=1,
    parameters_b=0.001,
    active_b=0.001,
    mtp_modules=1,
    source="made up",
)
CPU = Gpu(name="cpu", label="CPU", vendor=Vendor.CPU, arch="any", memory_gb=8, source="made up")
