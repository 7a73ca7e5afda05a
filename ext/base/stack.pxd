"""A stack that any thread may push to and one thread takes whole: how threads that may allocate hand work to each other
without a lock.  Never used by the media thread."""


ctypedef struct node_t:             # the first member of what is pushed
    node_t* next


ctypedef struct stack_t:            # zeroed is empty
    node_t* first


# Any thread.  The node belongs to the taker from now on.
cdef void stack_push(stack_t* stack, node_t* node) noexcept nogil
# Everything that was pushed, oldest first, linked by `next`; NULL: nothing.
cdef node_t* stack_take(stack_t* stack) noexcept nogil
