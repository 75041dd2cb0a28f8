// The alternate signal stack.
// build: glibc musl
#include "check.h"

static char alternate[65536];
static volatile int inside, flags_inside, change;

static void on_signal(int number)
{
    char here;
    (void)number;
    inside = &here >= alternate && &here < alternate + sizeof alternate;
    stack_t now, other = { .ss_sp = alternate, .ss_size = sizeof alternate };
    sigaltstack(NULL, &now);
    flags_inside = now.ss_flags;
    change = sigaltstack(&other, NULL) == 0 ? 0 : errno;
}

static void show(const char *when)
{
    inside = flags_inside = change = -1;
    raise(SIGUSR1);
    printf("%s: on it %d, flags %d, change %s\n", when, inside, flags_inside,
           change ? errno_name(change) : "0");
}

int main(void)
{
    stack_t old, stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
    CALL(sigaltstack(NULL, &old));
    NUMBER(old.ss_flags);
    sigaction(SIGUSR1, &action, NULL);
    show("none set");
    CALL(sigaltstack(&stack, NULL));
    show("set");
    CALL(sigaltstack(NULL, &old));
    TRUTH(old.ss_sp == alternate && old.ss_size == sizeof alternate && old.ss_flags == 0);
    action.sa_flags = 0;
    sigaction(SIGUSR1, &action, NULL);
    show("not asked for");
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR1, &action, NULL);
    stack.ss_flags = SS_DISABLE;
    CALL(sigaltstack(&stack, NULL));
    CALL(sigaltstack(NULL, &old));
    NUMBER(old.ss_flags);
    show("disabled");
    stack.ss_flags = 0;
    stack.ss_size = 100;
    CALL(sigaltstack(&stack, NULL));
    stack.ss_size = sizeof alternate;
    stack.ss_flags = 64;
    CALL(sigaltstack(&stack, NULL));
    return 0;
}
