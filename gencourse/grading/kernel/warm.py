"""What kernels would import later, imported once in the fork server.

The first optimiser of a process imports torch's compiler, which takes seconds; the first figure,
the first cell and the first error of a shell import what draws, runs and formats. What isn't
there in another version of a package is passed over: it only saves time.
"""

import contextlib
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
    "IPython.core.application",
    "IPython.core.completer",
    "IPython.core.completerlib",
    "IPython.core.crashhandler",
    "IPython.core.logger",
    "IPython.core.magics",
    "IPython.core.magics.execution",
    "IPython.core.oinspect",
    "IPython.core.pylabtools",
    "IPython.utils.contexts",
    "IPython.utils.module_paths",
    "IPython.utils.wildcard",
    "bdb",
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
        with contextlib.suppress(ImportError):
            importlib.import_module(_name)
    with contextlib.suppress(ImportError):
        from matplotlib.backends import backend_registry

        backend_registry.list_all()  # looks through the metadata of all installed packages
