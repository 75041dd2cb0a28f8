# The C compiler, its parts as children, and what it made.
export LC_ALL=C PATH=/usr/bin:/bin
cd "$(mktemp -d)" || exit
cat >hello.c <<'X'
#include <stdio.h>
int main(int argc, char **argv) { printf("hello %s\n", argv[1]); return argc; }
X
gcc -O2 -o hello hello.c; echo "gcc $?"
sha256sum hello; ./hello world; echo "hello $?"
gcc -c none.c; echo "gcc $?"
echo 'int f(' | gcc -x c -c -o none.o -; echo "gcc $?"
ls
rm -rf "$PWD"
