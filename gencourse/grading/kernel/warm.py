"""What kernels would import later, imported once in the fork server.

The first optimiser of a process imports torch's compiler, which takes seconds; the first figure
and the first cell of a shell import what draws and formats.
"""

import importlib
import warnings

_LATER = (
    "torch._dynamo",
    "torch.optim",
    "torch.utils.data",
    "torchvision",
    "numpy.random",
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.PpmImagePlugin",
    "matplotlib.backends.backend_agg",
    "IPython.core.pylabtools",
    "asttokens.line_numbers",
    "executing.executing",
    "pure_eval.core",
    "pygments.formatters.terminal256",
    "pygments.styles",
    "stack_data.core",
    "gencourse._device",
    "gencourse.data",
    "gencourse.grading.checks",
    "gencourse.grading.helpers",
    "gencourse.nets",
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for _name in _LATER:
        importlib.import_module(_name)
