/* System calls and texts without a libc, for starter.c and auditor.c. */

typedef unsigned long word;

#if defined(__x86_64__)
#define MACHINE EM_X86_64
static long call6(long n, word a, word b, word c, word d, word e, word f) {
    register word r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
static long call6(long n, word a, word b, word c, word d, word e, word f) {
    register word x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register word x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#endif
#define CALL(name, a, b, c, d, e, f) \
    call6(__NR_##name, (word)(a), (word)(b), (word)(c), (word)(d), (word)(e), (word)(f))

static int begins(const char *text, const char *with) {
    while (*with)
        if (*text++ != *with++)
            return 0;
    return 1;
}
