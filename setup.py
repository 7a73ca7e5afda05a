"""Build of roomtone's compiled part.

The folders ``ext engine control bench`` at the top level are the packages ``roomtone.ext`` and so on:
``control`` alone would collide with other people's packages.  Cython and mypy see the same names through a
link ``build/cyroot/roomtone -> ../..``.

Environment:
  ROOMTONE_FLAVOUR   release (default) | trace (line coverage inside nogil) | asan (address, UB sanitizer)
  ROOMTONE_ONLY      comma-separated path prefixes; only those extensions are built (``ext/wire,ext/codec``)
  ROOMTONE_ANNOTATE  1: write Cython's annotated HTML beside each source
"""

import os
import platform
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
FLAVOUR = os.environ.get("ROOMTONE_FLAVOUR", "release")
ONLY = tuple(p for p in os.environ.get("ROOMTONE_ONLY", "").split(",") if p)
JOBS = len(os.sched_getaffinity(0))

CFLAGS = {
    "release": ["-O3", "-g1", "-fno-strict-aliasing"],
    "trace": ["-O1", "-g", "-fno-strict-aliasing"],
    "asan": ["-O1", "-g", "-fno-strict-aliasing", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"],
}[FLAVOUR]
LDFLAGS = ["-fsanitize=address,undefined"] if FLAVOUR == "asan" else []
CHECKED = FLAVOUR != "release"
MACROS = [("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")] if FLAVOUR == "trace" else []
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
    "cdivision": True,
    "nonecheck": CHECKED,
    "embedsignature": True,
    "linetrace": FLAVOUR == "trace",
}

# Instruction levels: the same kernel source is compiled once a level, under another module name; ext/base/cpu
# chooses one at import.
LEVELS = {
    "x86_64": {
        "v2": ["-march=x86-64-v2"],
        "v3": ["-march=x86-64-v3"],
        "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    },
    "aarch64": {"neon": []},
}.get(platform.machine(), {"portable": []})
KERNELS = ("ext/codec/g711.pyx", "ext/codec/l16.pyx", "ext/dsp/kernel.pyx")
# No contraction to multiply-add: it rounds differently, and every level must give the same bits.
KERNEL_CFLAGS = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]


def cyroot() -> Path:
    """Make the link through which Cython resolves ``roomtone.*``; returns the include path."""
    link = ROOT / "build" / "cyroot" / "roomtone"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(Path("..") / "..", target_is_directory=True)
    return link.parent


def kernel_sources(source: str) -> list[tuple[str, str, list[str]]]:
    """Copy a kernel once an instruction level; returns (module, file, flags)."""
    path = ROOT / source
    if not path.exists():
        return []
    text = path.read_text()
    out = []
    for level, flags in LEVELS.items():
        copy = ROOT / "build" / "kernel" / path.parent.relative_to(ROOT) / f"{path.stem}_{level}.pyx"
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists() or copy.read_text() != text:
            copy.write_text(text)
        module = f"roomtone.{path.parent.relative_to(ROOT).as_posix().replace('/', '.')}.{copy.stem}"
        out.append((module, str(copy.relative_to(ROOT)), [*KERNEL_CFLAGS, *flags]))
    return out


def extensions() -> list[Extension]:
    """One small extension a file: builds, linting and sanitizers work per file."""
    out = []
    for path in sorted([*(ROOT / "ext").rglob("*.pyx"), *(ROOT / "bench" / "load").glob("*.pyx")]):
        name = path.relative_to(ROOT).as_posix()
        if ONLY and not name.startswith(ONLY):
            continue
        if name in KERNELS:
            for module, source, flags in kernel_sources(name):
                out.append(extension(module, source, flags))
        else:
            extra = KERNEL_CFLAGS if name.startswith("ext/dsp/") else []
            # The floor is what everything is compared with: plain -O2 (bench/README.md).
            extra = ["-O2"] if name == "bench/load/floor.pyx" else extra
            out.append(extension("roomtone." + name[:-4].replace("/", "."), name, extra))
    return out


def extension(module: str, source: str, flags: list[str]) -> Extension:
    return Extension(
        module,
        [source],
        extra_compile_args=[*CFLAGS, *flags],
        extra_link_args=LDFLAGS,
        define_macros=[("_GNU_SOURCE", "1"), *MACROS],
    )


class Build(build_ext):
    """Compiles as many files at once as there are processors."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or JOBS


def package_dirs() -> dict[str, str]:
    """Map ``roomtone.ext.base`` to ``ext/base`` and so on for every folder with an ``__init__.py``."""
    dirs = {}
    for top in ("ext", "engine", "control", "bench"):
        for init in sorted((ROOT / top).rglob("__init__.py")):
            folder = init.parent.relative_to(ROOT).as_posix()
            name = "roomtone.client" if folder == "control/client" else "roomtone." + folder.replace("/", ".")
            dirs[name] = folder
    return dirs


PACKAGES = package_dirs()
setup(
    packages=list(PACKAGES),
    package_dir=PACKAGES,
    package_data={name: ["py.typed", "*.pxd", "*.pyi"] for name in PACKAGES},
    ext_modules=cythonize(
        extensions(),
        include_path=[str(cyroot())],
        nthreads=JOBS,
        build_dir="build/c",
        compiler_directives=DIRECTIVES,
        annotate=os.environ.get("ROOMTONE_ANNOTATE") == "1",
    ),
    cmdclass={"build_ext": Build},
)
