// Counts what a watched thread asks of the allocator while armed; to be preloaded.
#include <stddef.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);
static __thread int watched __attribute__((tls_model("initial-exec")));
static volatile int armed;
static volatile long calls;
static void seen(void) { if (watched && armed) __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED); }
void count_watch(int on) { watched = on; }
void count_arm(int on) { armed = on; }
long count_calls(void) { return calls; }
void *malloc(size_t n) { seen(); return __libc_malloc(n); }
void *calloc(size_t k, size_t n) { seen(); return __libc_calloc(k, n); }
void *realloc(void *p, size_t n) { seen(); return __libc_realloc(p, n); }
void *aligned_alloc(size_t a, size_t n) { seen(); return __libc_memalign(a, n); }
void free(void *p) { seen(); __libc_free(p); }
