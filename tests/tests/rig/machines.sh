# Machines on KVM, in the nested rig: how they end, what they share, what they leave, and what
# they let a hostile guest do. Each line that fails says so.
cd /tmp
expect() { [ "$1" = "$2" ] || echo "FAILED: $3: $1 is not $2"; }
run() { birgus run --engine kvm --timeout 60 "$@" >out 2>err; echo $?; }
left() { ps -o args | grep -c '[m]onitor\|[p]asst'; ls -A /tmp /run /dev/shm 2>/dev/null; }

expect "$(run --verbose /programs/exit_with 200)" 200 'an exit status'
grep -q lacks err && echo "FAILED: the sandbox is not whole: $(cat err)"
expect "$(run --no-sandbox /programs/exit_with 7)" 7 'without a sandbox'
expect "$(run --timeout 1 /programs/never_ends busy)" 124 'a busy guest'
expect "$(run --timeout 1 --kernel-arg birgus.debug=hang /programs/exit_with 0)" 124 'a stuck kernel'
expect "$(run --kernel-arg birgus.debug=panic /programs/exit_with 0)" 125 'a panic'
expect "$(run /programs/triple_fault)" 125 'a triple fault'
grep -q 'a triple fault' err || echo "FAILED: a triple fault is not told: $(cat err)"
grep -q 'rip: ' err || echo "FAILED: the processor is not told: $(cat err)"

mkdir share && echo inside >share/file && ln -s /etc share/link && echo outside >secret
status=$(run -v /tmp/share:/s /bin/busybox sh -c 'cat /s/file; echo new >/s/made; cat /s/../secret; rm /s/file')
expect "$(cat out share/made; ls share)" "$(printf 'inside\nnew\nlink\nmade')" 'a shared directory'
status=$(run -v /tmp/share:/s:ro /bin/busybox sh -c 'echo x >/s/made')
expect "$status $(cat share/made)" '1 new' 'a directory that is only read'

birgus run --engine kvm --timeout 60 /bin/busybox echo one >one & first=$!
birgus run --engine kvm --timeout 60 /bin/busybox echo two >two
wait $first
expect "$(cat one two)" "$(printf 'one\ntwo')" 'two machines at once'

tunctl -t t0 >/dev/null; ip addr add 192.0.2.2/24 dev t0; ip link set t0 up
ip route add default via 192.0.2.1
before=$(left)
birgus run --engine kvm -p 8080:80 -v /tmp/share:/w:ro /bin/busybox httpd -f -p 80 -h /w & first=$!
served=$(for i in $(seq 30); do sleep 1; timeout 5 wget -q -O - http://127.0.0.1:8080/made 2>/dev/null && break; done)
expect "$served" new 'a published port'
kill $first; wait $first
expect "$?" 143 'a server that was ended'
expect "$(left)" "$before" 'what a server leaves'
birgus run --engine kvm /bin/busybox sh -c 'sleep 2; echo alive' >out 2>err & first=$!
sleep 1; kill -9 $(pidof passt); wait $first
expect "$? $(cat out)" '0 alive' 'a machine that lost its network'
birgus run --engine kvm /programs/never_ends busy >/dev/null & first=$!
sleep 1; kill -9 $first; sleep 1
expect "$(left)" "$before" 'what a killed birgus leaves'

status=$(run --timeout 200 /programs/hostile)
case $status in 0 | 124 | 125) ;; *) echo "FAILED: a hostile guest: $status" ;; esac
grep -q 'signal:' err && echo "FAILED: a hostile guest: $(cat err)"
expect "$(head -n 1 out)" ports 'a hostile guest at the ports'
expect "$(left | head -n 1)" 0 'what a hostile guest leaves'
