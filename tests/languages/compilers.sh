# The compilers with optimisation over files, static linking, C++ and exceptions.
export LC_ALL=C PATH=/usr/bin:/bin
cd "$(mktemp -d)" || exit
echo 'int one(void) { return 1; }' >one.c
cat >main.c <<'X'
#include <stdio.h>
int one(void);
int main(void) { printf("%d\n", one()); return 0; }
X
gcc -flto -O2 -o lto main.c one.c && ./lto
gcc -static -o static main.c one.c && ./static
gcc -fPIC -shared -o libone.so one.c && gcc -o shared main.c -L. -lone && LD_LIBRARY_PATH=. ./shared
gcc -g -o debug main.c one.c && nm debug | grep -c ' T ' && strip debug && ./debug
cat >main.cc <<'X'
#include <iostream>
#include <map>
#include <stdexcept>
int main()
{
    std::map<std::string, int> map{{"a", 1}, {"b", 2}};
    try { throw std::runtime_error("thrown"); } catch (const std::exception &e) { std::cout << e.what(); }
    for (auto &[key, value] : map) std::cout << ' ' << key << value;
    std::cout << '\n';
}
X
g++ -std=c++17 -o cc main.cc && ./cc
objdump -d lto | grep -c main
size static | wc -l
readelf -h static | sed -n 2p
rm -rf "$PWD"
