# Coreutils, find, xargs, time and timeout, in a directory of their own.
export LC_ALL=C PATH=/usr/bin:/bin
cd "$(mktemp -d)" || exit
seq 1 2000 >n
for i in 1 2 3 4 5; do mkdir -p d$i/e; echo "file $i" >d$i/e/f; done
sort -rn n | head -n 3
shuf n | sort -n | cmp - n && shuf -i 1-10 | sort -n | paste -sd ' '
split -l 500 n part.
ls
cat part.* | cmp - n && wc -l part.* | tail -n 1
csplit -sz n 100 '{2}' && ls xx*

find . -type f -name f -exec wc -c {} + | sort
find . -type f -name f -exec sh -c 'echo "$1"; exit 1' _ {} \; | sort
find . -type f -print0 | sort -z | xargs -0 -n 3 echo
find . -name e | xargs -P 3 -I{} sh -c 'ls {}' | sort
seq 3 | xargs -n 1 sh -c 'exit 255'; echo "xargs $?"
seq 3 | xargs -n 1 false; echo "xargs $?"
seq 3 | busybox xargs -n 2 busybox echo
busybox find d1 -name f -exec busybox cat {} \;
busybox timeout 0.2 sleep 60; echo "busybox timeout $?"
busybox time true 2>&1 | busybox awk '{ print $1, NF }'
busybox sh -c 'time -p true' 2>&1 | busybox awk '{ print $1, NF }'

timeout 0.2 sleep 60; echo "timeout $?"
timeout -s KILL 0.2 sleep 60; echo "timeout $?"
timeout --preserve-status 0.2 sleep 60; echo "timeout $?"
timeout 60 sh -c 'exit 3'; echo "timeout $?"
timeout 60 ./none; echo "timeout $?"

cp -a d1 d9 && diff -r d1 d9 && mv d9 d8 && ls -l d8/e/f | cut -c1-10
ln -s d8 l && ln n nn && stat -c '%h %s' n && realpath --relative-to=. l/e/f
chmod 640 n && touch -d '2001-02-03 04:05:06 UTC' n && stat -c '%a %F' n && date -u -r n +%F_%T
truncate -s 1M big && stat -c '%s %b' big && du --apparent-size -b big
dd if=/dev/zero of=dd bs=1k count=100 status=none && sha256sum dd
dd if=n bs=512 skip=10 count=3 status=none | wc -c
tee a b <n | wc -l && cmp a b && cksum a && sum a && b2sum a | cut -c1-8 && md5sum a
paste -d, a b | sed -n 3p; join a b | head -n 2; comm -12 a b | wc -l; tac n | head -n 1
nl n | tail -n 1; fold -w 3 n | wc -l; od -c n | head -n 2; base64 n | base64 -d | cmp - n
tr -cd 1 <n | wc -c; cut -c2- n | uniq -c | sort -rn | head -n 1; head -c 5 /dev/urandom | wc -c
factor 1234567890123; numfmt --to=iec 123456789; printf '%05d %q\n' 42 'a b'; expr 3 + 4
env -i A=1 env; nice -n 19 nice; nohup echo nohup 2>&1; id -un; basename /a/b.c .c; seq -s, 3
mkfifo p; (echo through >p &); cat p
install -m 700 n inst && stat -c %a inst && shred -u inst; ls inst; pathchk -p 'a b'
chown 5:6 n && stat -c '%u %g' n; mknod node p && stat -c %F node; stdbuf -oL echo buffered
rm -r d1; ls d1; rmdir d2; test -e d2 && echo "still there"; yes | head -n 2; date -u -d @0
tail -f n >/dev/null 2>&1 & kill $!; wait $! 2>/dev/null; echo "wait $?"
rm -rf "$PWD"
