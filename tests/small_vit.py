"""A small vision transformer with local weights, for tests that train one."""

import torch
from safetensors.torch import save_file

from benchmarks.machine.torchvision_stub import import_timm


def small_vit(folder):
    """Write weights into `folder`; returns a backbone that sees 4 patches of 32 pixels."""
    torch.manual_seed(0)
    model = import_timm().create_model("test_vit", pretrained=False, img_size=32)
    path = folder / "v.safetensors"
    save_file(model.state_dict(), path)
    return f"timm:test_vit={path}"
