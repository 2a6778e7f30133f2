"""Which device the course computes on: one choice, made in one place."""

from __future__ import annotations

import os

import torch

__all__ = ["describe", "device"]

ENVIRONMENT_VARIABLE = "GENCOURSE_DEVICE"


def device(prefer: str | torch.device | None = None) -> torch.device:
    """Choose the device to compute on: CUDA, then Apple's MPS, then the CPU.

    Parameters
    ----------
    prefer : str or torch.device, optional
        A device to use instead of the best one, such as ``"cpu"`` or ``"cuda:1"``.
        The environment variable ``GENCOURSE_DEVICE`` overrides even this, so that a
        whole notebook can be moved without editing it.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If the name is not a device, or names one that this machine does not have.

    Examples
    --------
    >>> import gencourse
    >>> gencourse.device("cpu")
    device(type='cpu')
    """
    override = os.environ.get(ENVIRONMENT_VARIABLE)
    wanted = override or prefer
    if wanted is None:
        if torch.cuda.is_available():
            return _own_gpu(torch.cuda.device_count())
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    source = f"{ENVIRONMENT_VARIABLE}={override!r}" if override else f"device {str(prefer)!r}"
    try:
        chosen = torch.device(wanted)
    except RuntimeError:
        raise ValueError(f"{source} is not a device; use 'cuda', 'mps' or 'cpu'") from None
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (chosen.index or 0) >= count:
            raise ValueError(f"{source} was asked for, but torch sees {count} CUDA devices here")
        if chosen.index is None:
            chosen = _own_gpu(count)
    elif chosen.type == "mps":
        if not torch.backends.mps.is_available():
            raise ValueError(f"{source} was asked for, but this machine has no Apple GPU")
    elif chosen.type != "cpu":
        raise ValueError(f"{source} is not supported; use 'cuda', 'mps' or 'cpu'")
    return chosen


def _own_gpu(count: int) -> torch.device:
    """Return the GPU of this process among ``count``: under torchrun each has its own."""
    number = os.environ.get("LOCAL_RANK")
    # A launcher may also let each process see no other GPU than its own.
    if number is None or (count == 1 and "CUDA_VISIBLE_DEVICES" in os.environ):
        return torch.device("cuda")
    if int(number) >= count:
        raise ValueError(
            f"process {number} has no GPU of its own: torch sees {count} here; start as many "
            "processes as there are GPUs, or train on device 'cpu'"
        )
    return torch.device("cuda", int(number))


def describe(chosen: torch.device | None = None) -> str:
    """Say in one line which course, which torch and which device are in use.

    Parameters
    ----------
    chosen : torch.device, optional
        The device to describe; the default is the one :func:`device` picks.

    Returns
    -------
    str
        Such as ``"gencourse 0.1.0, torch 2.15.0, cuda: Tesla T4 (15 GB)"``.
    """
    from gencourse import __version__

    chosen = chosen or device()
    if chosen.type == "cuda":
        properties = torch.cuda.get_device_properties(chosen)
        what = f"cuda: {properties.name} ({properties.total_memory / 2**30:.0f} GB)"
    elif chosen.type == "mps":
        what = "mps: Apple GPU"
    else:
        what = f"cpu: {torch.get_num_threads()} threads"
    return f"gencourse {__version__}, torch {torch.__version__}, {what}"
