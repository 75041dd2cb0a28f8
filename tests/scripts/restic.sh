# Backs a directory up twice, restores it and compares, checks, and forgets the first backup.
set -eu
dir=$(mktemp -d)
cd "$dir"
export RESTIC_PASSWORD=secret RESTIC_REPOSITORY="$dir/repository" RESTIC_CACHE_DIR="$dir/cache"
mkdir -p in/deep/er
seq 200000 >in/numbers
cp /usr/bin/env in/deep/env
ln -s ../numbers in/deep/link
ln in/numbers in/deep/er/hard
: >in/deep/er/empty
mkfifo in/fifo
chmod 640 in/deep/env
touch -d @1234567890.5 in/deep/er/empty
restic init -q && echo initialised
restic backup -q in && echo backed up
echo more >>in/deep/er/hard
ln -sf env in/deep/link
restic backup -q in
restic snapshots --json | tr , '\n' | grep -c short_id
restic check -q && echo checked
restic restore -q latest --target out
describe() {
    (cd "$1" && find . ! -type d -printf '%p %y %s %m %n %T@ %l\n' | sort)
    (cd "$1" && find . -type d -printf '%p %m %T@\n' | sort)
}
describe in >in.list
describe out/in >out.list
cmp in.list out.list
find in -type f -exec cmp {} out/{} \;
cut -d' ' -f1,2 <in.list
restic forget -q --keep-last 1 --prune && restic check -q && echo forgotten
restic stats --mode files-by-contents latest | tail -n 3
restic find numbers | tail -n 1 | sed 's/.*numbers/numbers/'
echo changed >in/numbers
restic diff --json "$(restic snapshots --json latest | grep -o '"short_id":"[^"]*' | cut -d'"' -f4)" \
    "$(restic backup --json in | grep -o '"snapshot_id":"[^"]*' | cut -d'"' -f4)" |
    grep -o '"changed_files":[0-9]*'
restic dump latest /in/numbers
rm -r "$dir"
