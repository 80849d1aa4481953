"""One net of every family of timm with random weights, and those known to be unusual.

A family is a module of timm; of each there is the net with the fewest weights that classifies and
needs no more than a few gigabytes of memory for eight images.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmarks.conversion.torch_models import CLASSES, prepare

FAMILIES: dict[str, dict[str, Any]] = {
    "beit_base_patch16_224": {"img_size": 64, "depth": 2},
    "cait_xxs24_224": {"img_size": 64, "depth": 2},
    "coat_tiny": {"img_size": 64},
    "convit_tiny": {"img_size": 64, "depth": 2},
    "convmixer_768_32": {},
    "convnext_zepto_rms": {"depths": (1, 1, 1, 1)},
    "cpubone_nano": {},
    "crossvit_tiny_240": {},
    "cs3darknet_focus_s": {},
    "csatv2": {"depths": (2, 2, 2, 2)},
    "cspnext_tiny": {},
    "davit_tiny": {"depths": (1, 1, 1, 1)},
    "deepseek_vit_412m": {"img_size": 56, "depth": 2},
    "deit_tiny_distilled_patch16_224": {"img_size": 64, "depth": 2},
    "deit_tiny_patch16_224": {"img_size": 64, "depth": 2},
    "densenet121": {},
    "dla46x_c": {},
    "dpn48b": {},
    "eca_halonext26ts": {},
    "edgenext_xx_small": {"depths": (1, 1, 1, 1)},
    "efficientformer_l1": {"depths": (1, 1, 1, 1)},
    "efficientformerv2_s0": {"img_size": 64, "depths": (1, 1, 1, 1)},
    "efficientvim_m1": {"depths": (1, 1, 1)},
    "efficientvit_b0": {"depths": (1, 1, 1, 1)},
    "efficientvit_m0": {"depth": (1, 1, 1)},
    "ese_vovnet19b_slim_dw": {},
    "fasternet_t0": {"depths": (1, 1, 1, 1)},
    "fastvit_t8": {"layers": (1, 1, 1, 1)},
    "focalnet_tiny_srf": {},
    "gcvit_xxtiny": {"img_size": 64},
    "gemma4_vit_167m": {"depth": 2},
    "ghostnet_050": {},
    "gmlp_ti16_224": {"img_size": 64},
    "hardcorenas_b": {},
    "hgnetv2_b0": {},
    "hiera_tiny_224": {"img_size": 64},
    "hrnet_w18_small": {},
    "iformer_t": {},
    "inception_next_atto": {"depths": (1, 1, 1, 1)},
    "inception_resnet_v2": {},
    "inception_v3": {},
    "inception_v4": {},
    "lcnet_035": {},
    "lcnetv2_small": {"depths": (1, 1, 1, 1)},
    "legacy_seresnet18": {},
    "legacy_xception": {},
    "levit_128s": {"img_size": 64, "depth": (1, 1, 1)},
    "lowformer_b0": {},
    "mambaout_femto": {"depths": (1, 1, 1, 1)},
    "maxvit_pico_rw_256": {"img_size": 64, "depths": (1, 1, 1, 1)},
    "mobilenetv2_035": {},
    "mobilenetv5_base": {},
    "mobileone_s1": {},
    "mobilevit_xxs": {},
    "mvitv2_tiny": {},
    "naflexvit_base_patch16_parfac_gap": {"depth": 2},
    "nasnetalarge": {},
    "nest_tiny": {"img_size": 64},
    "nextvit_small": {},
    "nf_regnet_b0": {"depths": (1, 1, 1, 1)},
    "pit_ti_224": {"img_size": 64, "depth": (1, 1, 1)},
    "pnasnet5large": {},
    "poolformerv2_s12": {},
    "pvt_v2_b0": {"depths": (1, 1, 1, 1)},
    "qwen3_vit_88m": {"depth": 2},
    "rdnet_tiny": {},
    "regnetx_002": {},
    "repghostnet_050": {},
    "repvit_m1": {},
    "res2next50": {"layers": (1, 1, 1, 1)},
    "resnest14d": {},
    "resnet10t": {},
    "resnetv2_18": {},
    "rexnet_100": {},
    "sam2_hiera_tiny": {},
    "samvit_base_patch16_224": {"depth": 2},
    "selecsls42": {},
    "sequencer2d_s": {"layers": (1, 1, 1, 1)},
    "shvit_s1": {"depth": (1, 1, 1)},
    "skresnet18": {"layers": (1, 1, 1, 1)},
    "starnet_s050": {},
    "swiftformer_xs": {"layers": (1, 1, 1, 1)},
    "swin_tiny_patch4_window7_224": {"img_size": 64, "depths": (1, 1, 1, 1)},
    "swinv2_cr_tiny_224": {"img_size": 64, "depths": (1, 1, 1, 1)},
    "swinv2_tiny_window8_256": {"img_size": 64, "depths": (1, 1, 1, 1)},
    "test_vit4": {"img_size": 64},
    "tiny_vit_5m_224": {"depths": (1, 1, 1, 1)},
    "tnt_s_legacy_patch16_224": {"img_size": 64, "depth": 2},
    "tresnet_m": {"layers": (1, 1, 1, 1)},
    "twins_svt_small": {"depths": (1, 1, 1, 1)},
    "vgg11": {},
    "visformer_tiny": {"img_size": 64, "depth": 2},
    "vit_small_patch14_dinov2": {"img_size": 56, "depth": 2},
    "vit_srelpos_small_patch16_224": {"img_size": 64, "depth": 2},
    "vit_tiny_patch16_224": {"img_size": 64, "depth": 2},
    "vit_tiny_patch16_dinov3_qkvb": {"depth": 2},
    "vit_tiny_r_s16_p8_224": {"img_size": 64, "depth": 2},
    "vitamin_small_224": {"img_size": 64, "depth": 2},
    "volo_d1_224": {"img_size": 64},
    "xception41p": {},
    "xcit_nano_12_p8_224": {"depth": 2},
}
"""Names of timm with the settings that make each small: where a net is built for one size of
images, a small one, and where it can have fewer layers, one or two of each stage.
"""
SIZES = {
    "efficientformer_l1": 224,
    "eca_halonext26ts": 256,
    "inception_resnet_v2": 96,
    "inception_v3": 96,
    "inception_v4": 96,
}
"""Height and width of the images of the nets that do not take 64."""


def net(name: str) -> nn.Module:
    """The seeded net of that name in eval mode, with random weights."""
    import timm  # noqa: PLC0415 # not among the project's dependencies

    torch.manual_seed(7)
    module = timm.create_model(name, pretrained=False, num_classes=CLASSES, **FAMILIES[name])
    return prepare(module, images(name, 8))


def images(name: str, n: int, seed: int = 11) -> torch.Tensor:
    """Standard normal images (n, 3, size, size) for the net of that name."""
    size = SIZES.get(name, FAMILIES[name].get("img_size", 64))
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))
