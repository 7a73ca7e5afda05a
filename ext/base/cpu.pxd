"""Which instruction level the processor has, and the kernels compiled for it.  Used at import, never on the
hot path."""


# Address of the table that `<module>_<level>` exposes by its `table_address()`; level "" is the level in
# force.  Import-time only: takes the GIL and raises (ImportError: not built; ValueError: the processor lacks
# the level).
cdef void* kernel_table(str module, str level) except NULL
