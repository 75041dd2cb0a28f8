#!/bin/sh
# What shells do all day: processes, pipelines, redirections, traps, jobs and the language.
# The same output in every shell, and on Linux as in Birgus. Facts only: no process ids, no
# times, no order that depends on a race.

section() { echo "== $*"; }

work=$(mktemp -d) || exit 98
cd "$work" || exit 98
trap 'ended=$?; cd /; rm -rf "$work"; echo "the end, status $ended"' EXIT

section variables and arithmetic
name=crab
echo "$name ${name}s ${none-unset} ${none:-empty} ${name:+set} ${#name}"
path=/usr/share/doc/crab.tar.gz
echo "${path##*/} ${path#*/} ${path%.*} ${path%%.*}"
echo $((6 * 7)) $((7 / 2)) $((7 % 4)) $((-7 / 2)) $((1 << 20)) $((0x10 | 3)) $((5 > 3 && 2 < 1))
i=10
echo $((i += 5)) $((i * (i - 1))) $i
readonly fixed=1
(fixed=2) 2>/dev/null || echo "readonly holds"
: "${assigned:=by default}"
echo "$assigned"

section quoting
echo 'single $name' "double $name" back\$slash "a  b" a\ \ b
set -- one "two words" "" four
echo $# "$2" "[$3]"
for argument in "$@"; do printf '<%s>' "$argument"; done; echo
for argument in $*; do printf '<%s>' "$argument"; done; echo
IFS=:
set -- $(echo a:b::c)
echo $# "$*"
unset IFS

section tests and cases
for word in apple 42 '' -x crab.c; do
    case $word in
    [0-9]*) echo number ;;
    '') echo nothing ;;
    -?) echo option ;;
    *.c | *.h) echo source ;;
    *) echo word ;;
    esac
done
[ 1 -lt 2 ] && [ abc != abd ] && ! [ -e none ] && [ -d . ] && [ -n "$name" ] && echo true
if false; then echo no; elif true; then echo elif; else echo no; fi

section loops
n=0
while :; do
    n=$((n + 1))
    [ $n -eq 3 ] && continue
    [ $n -gt 5 ] && break
    printf '%d ' $n
done
until [ $n -le 0 ]; do n=$((n - 4)); done
echo $n
for outer in 1 2 3; do
    for inner in a b c; do
        [ $inner = b ] && continue 2
        [ $outer = 3 ] && break 2
        printf '%s%s ' $outer $inner
    done
done
echo

section functions
fact() { if [ "$1" -le 1 ]; then echo 1; else echo $(($1 * $(fact $(($1 - 1))))); fi; }
fact 10
status() { return "$1"; }
status 7
echo "status $?"
change() { name=changed; set -- x y; echo $#; }
change
echo $name $#
(name=inner; echo "in a subshell $name")
echo "outside $name"
{ echo grouped; name=grouped; }
echo $name

section command substitution
echo "lines: $(printf 'a\nb\nc\n\n\n' | wc -l | tr -d ' ')"
nested=$(echo $(echo $(echo deep)))
echo "$nested" `echo old style`
echo "kept
$(echo newline)"
x=$(exit 9)
echo "status $?"
echo "$(cat <<END
a document in a substitution
END
)"

section pipelines
printf '%s\n' pear apple fig apple | sort | uniq -c | sed 's/^ *//'
seq 1 100 | awk '{ s += $1 } END { print s }'
seq 1 10 | while read -r number; do echo $((number * number)); done | tail -n 1
echo one | (read -r word; echo "read $word in a subshell")
seq 1 5 | sed -n '2,4p' | tr '\n' ' '
echo
seq 1 100000 | head -n 2
true | false
echo "status $?"
! true
echo "status $?"
if (set -o pipefail) 2>/dev/null; then
    (set -o pipefail; status 3 | true; echo "pipefail $?"; true | true; echo "pipefail $?")
fi
seq 1 20000 | sort -rn | sort -n | md5sum

section redirections
echo first >file
echo second >>file
cat <file
wc -l <file | tr -d ' '
{ echo out; echo err >&2; } >both 2>&1
cat both
{ echo out; echo err >&2; } 2>/dev/null
ls none 2>/dev/null || echo "ls fails"
exec 3>third
echo "to three" >&3
exec 3>&-
cat third
exec 4<file
read -r line <&4
read -r next <&4
exec 4<&-
echo "$next $line"
set -C
(echo x >file) 2>/dev/null || echo "noclobber"
echo y >|file
set +C
cat file
: >empty
[ -s empty ] || echo empty
while read -r a b; do echo "$b $a"; done <<END
x y z
$name \$literal $((1 + 1))
END
cat <<'END'
$not $(expanded)
END
cat <<-END
	tabs are taken away
	END

section files
mkdir -p d/e
touch d/1.c d/2.c d/3.h d/.hidden 'd/with space'
echo d/*.c
echo d/[13]* d/?.h d/none*
for file in d/*; do [ -f "$file" ] && printf '[%s]' "${file#d/}"; done; echo
find d -type f -name '*.c' | sort
find d -name '*.c' -exec echo found {} \; | sort
printf 'd/1.c\nd/2.c\n' | xargs ls
echo a b c d e | xargs -n 2 echo
ln -s 1.c d/link
[ -L d/link ] && [ d/1.c -ef d/link ] && echo link
mv d/3.h d/e/moved && cp d/e/moved copy && ls d/e
rm -r d && [ ! -e d ] && echo removed
umask 027
: >masked
ls -l masked | cut -c 1-10

section jobs
sleep 0 &
wait $!
echo "waited $?"
(exit 5) &
wait $!
echo "waited $?"
for i in 1 2 3; do (sleep 0.0$i; echo $i >job$i) & done
wait
cat job1 job2 job3
# Shells tell of killed children, with their numbers, on standard error.
{
    mkfifo ready
    sh -c 'echo >ready; exec sleep 100' &
    read -r line <ready
    kill $!
    wait $!
    echo "killed $?"
} 2>/dev/null
(sleep 0.1; echo late) | cat
sh=$(echo early & wait; echo then)
echo $sh

section signals
trap 'echo caught' USR1
kill -USR1 $$
trap '' USR2
kill -USR2 $$
echo "still here"
(trap 'echo "inner exit"' EXIT; echo body)
{
    sh -c 'kill -9 $$'
    echo "status $?"
} 2>/dev/null
sh -c 'trap "echo term; exit 3" TERM; kill $$; sleep 1; echo not reached'
echo "status $?"
trap - USR1
{
    sh -c 'sh -c "kill -USR1 \$PPID"; sleep 1; echo "not reached"'
    echo "status $?"
} 2>/dev/null

section options
parse() {
    OPTIND=1
    while getopts ab:c option; do
        case $option in
        b) echo "b is $OPTARG" ;;
        [ac]) echo $option ;;
        *) echo bad ;;
        esac
    done
    shift $((OPTIND - 1))
    echo "rest: $*"
}
parse -ac -b value one two
parse -x 2>/dev/null
(set -e; true; false; echo "not reached")
echo "status $?"
(set -u; echo "$undefined") 2>/dev/null || echo "unset is refused"
(set -f; echo *)
eval 'echo evaluated $((2 + 2))'
echo 'echo sourced "$name"' >source
. ./source
command -v none >/dev/null || echo "no such command"
none 2>/dev/null
echo "status $?"
./file 2>/dev/null
echo "status $?"

section programs
env -i A=1 sh -c 'echo $A; echo ${B-none}'
A=2 sh -c 'echo $A'
echo 'echo "script $0 $1, $# arguments"' >script
chmod +x script
sh script x y
printf '#!%s\necho "by itself $1"\n' "$(which sh)" >script
./script z
timeout 10 echo in time
timeout 0.2 sleep 10 2>/dev/null
echo "status $?"
exec 5>&1
(exec 1>/dev/null; echo hidden; echo shown >&5)
(exec echo replaced)
exit 6
