// What the `syscall` instruction leaves alone: all registers but rax, rcx and r11, the
// status flags, the red zone, and the whole of x87, SSE and AVX.
// build: glibc pie musl
#include "check.h"
#include <sys/mman.h>
#include <sys/syscall.h>

/* rax rbx rcx rdx rsi rdi rbp r8 ... r15, flags, red zone of 16 words */
struct state { unsigned long word[15], flags, zone[16]; };

void probe(const struct state *before, struct state *after, void *vectors);
extern char probe_return[];
unsigned probe_avx;

asm(".pushsection .text\n"
    "probe:\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  push %rdx; push %rsi\n"
    "  cmpl $0, probe_avx(%rip); je 1f\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  vmovdqu 32*\\n(%rdx), %ymm\\n\n  .endr\n"
    "  jmp 2f\n"
    "1: .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  movdqu 32*\\n(%rdx), %xmm\\n\n  .endr\n"
    "2: mov %rdi, %rax\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "  mov 128+8*\\n(%rax), %rcx; mov %rcx, -128+8*\\n(%rsp)\n  .endr\n"
    /* The flags need the stack: from a place below the red zone. */
    "  lea -256(%rsp), %rsp; pushq 120(%rax); popfq; lea 256(%rsp), %rsp\n"
    "  mov 8(%rax), %rbx; mov 16(%rax), %rcx; mov 24(%rax), %rdx; mov 32(%rax), %rsi\n"
    "  mov 40(%rax), %rdi; mov 48(%rax), %rbp; mov 56(%rax), %r8; mov 64(%rax), %r9\n"
    "  mov 72(%rax), %r10; mov 80(%rax), %r11; mov 88(%rax), %r12; mov 96(%rax), %r13\n"
    "  mov 104(%rax), %r14; mov 112(%rax), %r15; mov 0(%rax), %rax\n"
    "  syscall\n"
    "probe_return:\n"
    "  lea -256(%rsp), %rsp; pushfq; push %rax; mov 272(%rsp), %rax\n"
    "  popq 0(%rax); popq 120(%rax); lea 256(%rsp), %rsp; cld\n"
    "  mov %rbx, 8(%rax); mov %rcx, 16(%rax); mov %rdx, 24(%rax); mov %rsi, 32(%rax)\n"
    "  mov %rdi, 40(%rax); mov %rbp, 48(%rax); mov %r8, 56(%rax); mov %r9, 64(%rax)\n"
    "  mov %r10, 72(%rax); mov %r11, 80(%rax); mov %r12, 88(%rax); mov %r13, 96(%rax)\n"
    "  mov %r14, 104(%rax); mov %r15, 112(%rax)\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
    "  mov -128+8*\\n(%rsp), %rcx; mov %rcx, 128+8*\\n(%rax)\n  .endr\n"
    "  pop %rsi; pop %rdx\n"
    "  cmpl $0, probe_avx(%rip); je 3f\n"
    "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  vmovdqu %ymm\\n, 32*\\n(%rdx)\n  .endr\n"
    "  vzeroupper; jmp 4f\n"
    "3: .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  movdqu %xmm\\n, 32*\\n(%rdx)\n  .endr\n"
    "4: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    ".popsection");

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15 };
static const char *const register_names[] = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

/* Carry, parity, auxiliary carry, zero, sign, direction, overflow. */
#define STATUS 0xcd5ul

static int failures;

static void check(const char *what, unsigned long flags, long number, long a, long b, long c,
                  long d, int positive)
{
    struct state before, after;
    static unsigned char in[512], out[512];
    for (int i = 0; i < 512; i++)
        in[i] = out[i] = (unsigned char)(i * 37 + number + 1);
    for (int i = 0; i < 15; i++)
        before.word[i] = 0x0101010101010101ul * (i + 1) ^ 0xf0f0f0f0f0f0f0f0ul;
    for (int i = 0; i < 16; i++)
        before.zone[i] = 0xabcdef0000000000ul + i;
    before.flags = flags | 0x202;
    before.word[RAX] = number;
    before.word[RDI] = a;
    before.word[RSI] = b;
    before.word[RDX] = c;
    before.word[R10] = d;
    before.word[R8] = -1;
    before.word[R9] = 0;
    probe(&before, &after, out);
    int wrong = 0;
    for (int i = 1; i < 15; i++)
        if (i != RCX && i != R11 && before.word[i] != after.word[i]) {
            printf("%s: %s changed\n", what, register_names[i]);
            wrong++;
        }
    for (int i = 0; i < 16; i++)
        if (before.zone[i] != after.zone[i]) {
            printf("%s: red zone word %d changed\n", what, i);
            wrong++;
        }
    for (int i = 0; i < 16; i++) {
        if (memcmp(in + 32 * i, out + 32 * i, 16)) {
            printf("%s: xmm%d changed\n", what, i);
            wrong++;
        }
        if (probe_avx && memcmp(in + 32 * i + 16, out + 32 * i + 16, 16)) {
            printf("%s: upper half of ymm%d changed\n", what, i);
            wrong++;
        }
    }
    if ((after.flags & STATUS) != flags) {
        printf("%s: flags %#lx became %#lx\n", what, flags, after.flags & STATUS);
        wrong++;
    }
    if (after.word[RCX] != (unsigned long)probe_return) {
        printf("%s: rcx is not the return address\n", what);
        wrong++;
    }
    if ((after.word[R11] & STATUS) != flags || !(after.word[R11] & 0x200)) {
        printf("%s: r11 is not the flags\n", what);
        wrong++;
    }
    if (((long)after.word[RAX] >= 0) != positive) {
        printf("%s: result %ld\n", what, (long)after.word[RAX]);
        wrong++;
    }
    failures += wrong;
}

int main(void)
{
    static const unsigned long flags[] = { 0, 1, 4, 0x10, 0x40, 0x80, 0x400, 0x800, 0x8d5, 0xcd5 };
    static char buffer[8192];
    enter_scratch();
    probe_avx = __builtin_cpu_supports("avx") != 0;
    put("file", "content");
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
    long moment[2] = { 0, 1000000 };
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        unsigned long f = flags[i];
        check("getpid", f, SYS_getpid, 0, 0, 0, 0, 1);
        check("getppid", f, SYS_getppid, 0, 0, 0, 0, 1);
        check("gettid", f, SYS_gettid, 0, 0, 0, 0, 1);
        check("getuid", f, SYS_getuid, 0, 0, 0, 0, 1);
        check("read", f, SYS_read, zero, (long)buffer, sizeof buffer, 0, 1);
        check("write", f, SYS_write, null, (long)buffer, sizeof buffer, 0, 1);
        check("newfstatat", f, SYS_newfstatat, AT_FDCWD, (long)"file", (long)buffer, 0, 1);
        check("clock_gettime", f, SYS_clock_gettime, 1, (long)buffer, 0, 0, 1);
        check("getrandom", f, SYS_getrandom, (long)buffer, 64, 0, 0, 1);
        check("nanosleep", f, SYS_nanosleep, (long)moment, 0, 0, 0, 1);
        check("sched_yield", f, SYS_sched_yield, 0, 0, 0, 0, 1);
        check("mprotect", f, SYS_mprotect, (long)page, 4096, PROT_READ, 0, 1);
        check("lseek", f, SYS_lseek, zero, 0, 0, 0, 1);
        check("bad close", f, SYS_close, 999, 0, 0, 0, 0);
        check("unknown", f, 9999, 0, 0, 0, 0, 0);
    }
    double pi = 0;
    unsigned short control = 0x27f, control_after;
    unsigned mxcsr = 0x7f80, mxcsr_after, normal = 0x1f80;
    long result = SYS_getppid;
    asm volatile("fldcw %3; ldmxcsr %4; fldpi; syscall; fstpl %1; fnstcw %2; stmxcsr %5; ldmxcsr %6"
                 : "+a"(result), "=m"(pi), "=m"(control_after)
                 : "m"(control), "m"(mxcsr), "m"(mxcsr_after), "m"(normal)
                 : "rcx", "r11", "memory", "cc");
    asm volatile("fninit");
    TRUTH(pi > 3.14159 && pi < 3.1416);
    HEX(control_after);
    HEX(mxcsr_after);
    NUMBER(failures);
    return 0;
}
