# Tools that walk and copy many files: find, ripgrep, fd, rsync, tar with xz, git with gc.
set -eu
dir=$(mktemp -d)
cd "$dir"
library=/usr/lib/python3.11
find $library/json $library/email $library/asyncio -name '*.py' | sort | tee list | wc -l
find /usr/share/zoneinfo -type f | sort | md5sum
rg --threads 4 --count-matches 'def \w+\(self' $library/asyncio $library/email | sort
rg --threads 4 --json 'raise \w+Error' $library/json | wc -l
fdfind --threads 4 --type f --extension py . $library/unittest | sort
fdfind --threads 4 --extension py . $library/json --exec wc -l {} | sort
mkdir in
tar -cf - -T list 2>/dev/null | tar -xf - -C in
rsync --archive --itemize-changes in/ out/ | wc -l
echo more >>"in$library/json/decoder.py"
rm "in$library/json/tool.py"
# Whether a directory's time differs depends on how fast this is.
rsync --archive --delete --itemize-changes in/ out/ | grep -v '^\.d..t'
diff -r in out && echo same
tar -C in -cf - . | xz -1 -T2 | xz -dc | tar -tf - | sort | md5sum
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git -C in init -q -b main
for n in 1 2 3 4 5; do
    echo "$n" >>"in$library/json/decoder.py"
    git -C in add -A
    git -C in commit -q -m "commit $n"
done
git clone -q --no-local in clone
git -C clone gc -q --aggressive --prune=now
git -C clone fsck --full --strict && git -C clone log --format='%H %s' --stat=80 | head -n 12
git -C clone count-objects -v | grep -E '^(count|in-pack|packs)'
cd /
rm -r "$dir"
