# Applications on KVM, in the nested rig. Each line that fails says so.
cd /tmp
expect() { [ "$1" = "$2" ] || echo "FAILED: $3: $1 is not $2 ($(tail -n 3 err))"; }
run() { birgus run --engine kvm --timeout 300 "$@" 2>err; }

expect "$(run /bin/busybox sh -c 'echo a b c | tr " " "\n" | sort -r | head -n 1')" c 'busybox'
expect "$(run /programs/go one two)" '31996000 kept [one two]' 'a static program in Go'

mkdir volume && echo '{"numbers": [1, 2, 39]}' >volume/in.json
cat >volume/program.py <<'END'
import json, os, threading
with open("/v/in.json") as file:
    numbers = json.load(file)["numbers"]
found = []
workers = [threading.Thread(target=lambda n=n: found.append(n)) for n in numbers]
for worker in workers: worker.start()
for worker in workers: worker.join()
with open("/v/out.txt", "w") as file:
    file.write(f"{sum(found)}\n")
os.rename("/v/out.txt", "/v/done.txt")
print(sorted(os.listdir("/v")))
END
expect "$(run -v /tmp/volume:/v python3.11 -B /v/program.py)" "['done.txt', 'in.json', 'program.py']" 'python with a volume'
expect "$(cat volume/done.txt)" 42 'what python left in its volume'

tunctl -t t0 >/dev/null; ip addr add 192.0.2.2/24 dev t0; ip link set t0 up
ip route add default via 192.0.2.1
birgus run --engine kvm -p 6379:6379 redis-server --save '' --protected-mode no >redis 2>err & server=$!
for i in $(seq 60); do sleep 1; [ "$(redis-cli ping 2>/dev/null)" = PONG ] && break; done
expect "$(redis-cli set key value)" OK 'redis'
expect "$(redis-cli get key)" value 'redis'
redis-benchmark -q -n 1000 -c 10 -t set,get >benchmark 2>&1
expect "$(tr '\r' '\n' <benchmark | grep -c '^[SG]ET: [0-9.]* requests per second')" 2 'the benchmark of redis'
redis-cli shutdown nosave
wait $server
expect "$?" 0 'the end of redis'
expect "$(ps -o args | grep -c '[m]onitor\|[p]asst')" 0 'what redis leaves'
