"""The processor's instruction level, and the kernels compiled for it.

A kernel source is compiled once a level under the name `<module>_<level>`.  A module of a level that the
processor lacks is never imported: even its start-up code may hold instructions that trap.

Levels: the micro-architecture levels of the x86-64 psABI (v2: SSE4.2, v3: AVX2, v4: AVX-512), `neon` on
aarch64, `portable` elsewhere.  The environment's ROOMTONE_CPU_LEVEL forces a lower one.
"""

import os
from importlib import import_module


cdef extern from *:
    """
    #if defined(__x86_64__)
    static int rt_cpu_level(void) {
        __builtin_cpu_init();
        if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("ssse3")
                || !__builtin_cpu_supports("popcnt"))
            return 0;
        if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")
                || !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
            return 1;
        if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")
                || !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq")
                || !__builtin_cpu_supports("avx512vl"))
            return 2;
        return 3;
    }
    #define RT_CPU_LEVELS "v2 v3 v4"
    #elif defined(__aarch64__)
    static int rt_cpu_level(void) { return 1; }
    #define RT_CPU_LEVELS "neon"
    #else
    static int rt_cpu_level(void) { return 1; }
    #define RT_CPU_LEVELS "portable"
    #endif
    """
    int rt_cpu_level() noexcept nogil
    const char* RT_CPU_LEVELS


def supported() -> tuple[str, ...]:
    """Levels this processor runs, best first."""
    known = RT_CPU_LEVELS.decode().split()
    return tuple(reversed(known[: rt_cpu_level()]))


def level() -> str:
    """The level in force: the processor's best, or what ROOMTONE_CPU_LEVEL asks for.

    Errors: ImportError without any level that was built for this architecture, ValueError if the level asked
    for is not one of `supported()`.
    """
    levels = supported()
    if not levels:
        raise ImportError("this processor lacks x86-64-v2 (SSE4.2)")
    forced = os.environ.get("ROOMTONE_CPU_LEVEL", "")
    if forced and forced not in levels:
        raise ValueError(f"ROOMTONE_CPU_LEVEL={forced}: this processor runs {', '.join(levels)}")
    return forced or levels[0]


cdef void* kernel_table(str module, str level_name) except NULL:
    """Import `<module>_<level>` and return its table; lives as long as the process."""
    if level_name and level_name not in supported():
        raise ValueError(f"level {level_name}: this processor runs {', '.join(supported())}")
    found = import_module(f"{module}_{level_name or level()}")
    cdef size_t address = found.table_address()
    return <void*> address
