# make: a small project with a library, built in parallel and again after changes.
export LC_ALL=C PATH=/usr/bin:/bin
cd "$(mktemp -d)" || exit
cat >Makefile <<'X'
CFLAGS = -O1 -Wall -MMD
OBJECTS = main.o list.o hash.o text.o
prog: $(OBJECTS) libx.a
	$(CC) -o $@ $(OBJECTS) libx.a -lm
libx.a: x1.o x2.o
	$(AR) rcsD $@ $^
check: prog
	./prog a b c
clean:
	$(RM) *.o *.d *.a prog
-include $(wildcard *.d)
.PHONY: check clean
X
cat >main.c <<'X'
#include <math.h>
#include <stdio.h>
#include "prog.h"
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        list_add(argv[i]);
    list_show();
    printf("%u %s %.3f %d\n", hash("text"), text(), sqrt(argc), x1() + x2());
    return 0;
}
X
cat >prog.h <<'X'
void list_add(const char *);
void list_show(void);
unsigned hash(const char *);
const char *text(void);
int x1(void);
int x2(void);
X
cat >list.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include "prog.h"
static struct node { const char *text; struct node *next; } *first;
void list_add(const char *text)
{
    struct node *node = malloc(sizeof *node);
    *node = (struct node){text, first};
    first = node;
}
void list_show(void)
{
    for (struct node *node = first; node; node = node->next)
        puts(node->text);
}
X
echo '#include "prog.h"
unsigned hash(const char *s) { unsigned h = 5381; while (*s) h = h * 33 + *s++; return h; }' >hash.c
echo '#include "prog.h"
const char *text(void) { return __FILE__; }' >text.c
for n in 1 2; do printf '#include "prog.h"\nint x%d(void) { return %d; }\n' $n $n >x$n.c; done
make -s -j4 check; echo "make $?"
make -q prog; echo "up to date: $?"
touch -d '+1 hour' list.c
make -n | wc -l
touch -d '+1 hour' prog.h
make -s prog -j2; echo "make $?"
sha256sum prog
make clean
sed -i 's/x1/other/' x1.c
make -k -j2 prog 2>/dev/null >/dev/null; echo "make $?"
make -s nothing; echo "make $?"
rm -rf "$PWD"
