"""The fused kernel called straight, against PyTorch's own call of it."""

import subprocess
import sys

import torch
from torch import nn

from latentia.training.optimizers import Adam


def test_the_kernel_called_straight_is_pytorchs_adamw_bit_for_bit():
    nets = [nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2)) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    how = Adam(1e-2, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
    ours = how.build_optimizer(nets[0])
    theirs = torch.optim.AdamW(
        nets[1].parameters(), 1e-2, (0.8, 0.95), 1e-6, weight_decay=0.1, fused=True
    )
    for step in range(5):
        for net, optimizer in zip(nets, (ours, theirs), strict=True):
            optimizer.param_groups[0]["lr"] = 1e-2 / (step + 1)
            x = torch.arange(10.0).view(2, 5) * (step + 1)
            net(x)[:, : 1 + step % 2].square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert a.grad is None
        assert torch.equal(a, b)


def test_a_step_does_not_import_the_compiler():
    code = (
        "import sys, torch; from latentia.training.optimizers import Adam; "
        "n = torch.nn.Linear(2, 2); o = Adam(0.1).build_optimizer(n); "
        "n(torch.ones(1, 2)).sum().backward(); o.step(); o.zero_grad(); "
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
