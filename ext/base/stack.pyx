"""Push by compare-and-swap, take by exchange."""

from libc.stdlib cimport free, malloc


cdef extern from *:
    """
    #define rt_load_pointer(p)          __atomic_load_n((p), __ATOMIC_RELAXED)
    #define rt_swap_pointer(p, v)       __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
    #define rt_replace_pointer(p, e, v) __atomic_compare_exchange_n((p), (e), (v), 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
    """
    node_t* rt_load_pointer(node_t** p) noexcept nogil
    node_t* rt_swap_pointer(node_t** p, node_t* v) noexcept nogil
    bint rt_replace_pointer(node_t** p, node_t** expected, node_t* v) noexcept nogil


cdef void stack_push(stack_t* stack, node_t* node) noexcept nogil:
    cdef node_t* first = rt_load_pointer(&stack.first)
    node.next = first
    while not rt_replace_pointer(&stack.first, &first, node):
        node.next = first


cdef node_t* stack_take(stack_t* stack) noexcept nogil:
    cdef node_t* newest
    cdef node_t* older
    cdef node_t* oldest = NULL
    if rt_load_pointer(&stack.first) == NULL:
        return NULL
    newest = rt_swap_pointer(&stack.first, NULL)
    while newest != NULL:
        older = newest.next
        newest.next = oldest
        oldest = newest
        newest = older
    return oldest


# -- for tests and tools -----------------------------------------------------------------------------------------------

ctypedef struct number_t:
    node_t node
    int number


cdef class Stack:
    """The stack with numbers: push(n), take() -> list, oldest first."""
    cdef stack_t stack

    def push(self, int number):
        cdef number_t* one = <number_t*> malloc(sizeof(number_t))
        if one == NULL:
            raise MemoryError
        one.number = number
        with nogil:
            stack_push(&self.stack, &one.node)

    def take(self):
        cdef node_t* node
        cdef node_t* next_node
        with nogil:
            node = stack_take(&self.stack)
        out = []
        while node != NULL:
            next_node = node.next
            out.append((<number_t*> node).number)
            free(node)
            node = next_node
        return out

    def __dealloc__(self):
        self.take()
