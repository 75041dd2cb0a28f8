# Text tools, archives, calculators, generators of programs, keys and documents.
export LC_ALL=C PATH=/usr/bin:/bin
cd "$(mktemp -d)" || exit
seq 1 3000 | awk '{ print $1, $1 * 7 % 101, "line " $1 }' >t
mkdir -p d/a d/b
for i in 1 2 3 4 5 6; do cp t d/a/$i; head -n $i t >d/b/$i; done

gawk 'BEGIN { while (("echo a; echo b" | getline x) > 0) print "got " x
    "date -u -d @0" |& getline x; print x; print toupper("x") | "cat"; close("cat")
    print strftime("%Y", 0, 1), ENVIRON["LC_ALL"]; exit 3 }'; echo $?
gawk '{ a[$2] += $1 } END { n = asorti(a, b); for (i = 1; i < 4; i++) print b[i], a[b[i]] }' t
mawk '{ s += $1 } END { printf "%.2f\n", s / NR }' t
sed -i.bak -e 's/line/LINE/' -e '5,10d' t; diff t t.bak | wc -l; sed -n '1~500p' t
sed -e '/1/!d;s/\(.\)\(.\)/\2\1/;w words' t | tail -n 1; sed 's/.*/echo &/e;2q' t
grep -rc 'line 1' d | sort; grep -rl --include='[12]' 'line 3' d | sort; grep -q none t; echo $?
grep -Pno '\d+(?= LINE)' t | head -n 2; grep -E '^(12|7)+ ' t | head -n 2
cp t t2; sed -i 's/LINE 77$/changed/' t2; diff -u t t2 | tail -n +3 >p; cat p
patch -s t p && cmp t t2 && patch -sR t p; diff3 t t2 t.bak | wc -l; cmp -l t t2 | wc -l
ed -s t2 <<'X'
1,2p
$d
w
X

tar cf x.tar --sort=name --mtime=@0 --owner=0 --group=0 --mode=644 d; sha256sum x.tar
tar czf x.tgz d; tar tzf x.tgz | sort | head -n 3; tar -rf x.tar t; tar tf x.tar | wc -l
tar cJf x.txz d && mkdir out && tar xJf x.txz -C out && diff -r d out/d && echo same
tar cjf x.tbz d; tar -c d | tar -x --to-command='wc -l' | sort -n | tail -n 1
gzip -k t; zcat t.gz | cmp - t; gzip -l t.gz | awk 'NR == 2 { print $2 }'; zgrep -c LINE t.gz
xz -T1 -k t; xz -dc t.xz | cmp - t; xz -t t.xz; bzip2 -k t; bunzip2 -c t.bz2 | cmp - t
xz -T2 -k -c t | xz -dc | cmp - t; echo "xz $?"; zstd -q -c t | zstd -dc | cmp - t; echo "zstd $?"
zstd -q -T2 -c t | zstd --single-thread -dc | cmp - t; echo "zstd $?"
tar --zstd -cf x.tzst d && tar tf x.tzst | wc -l; sort --parallel=4 -S 1M -rn t | head -n 1

echo '2^200; scale=30; 4*a(1)' | bc -l
m4 <<'X'
define(`square',``$1' squared is eval($1*$1)')square(7) esyscmd(echo hi) syscmd(exit 3) sysval
X
cat >l.l <<'X'
%option noyywrap
%{
#include <stdlib.h>
#include "y.tab.h"
%}
%%
[0-9]+ { yylval = atoi(yytext); return NUMBER; }
[ \n] ;
. return yytext[0];
%%
X
cat >y.y <<'X'
%{
#include <stdio.h>
int yylex(void);
void yyerror(const char *text) { puts(text); }
%}
%token NUMBER
%left '+'
%left '*'
%%
s: e { printf("= %d\n", $1); };
e: e '+' e { $$ = $1 + $3; } | e '*' e { $$ = $1 * $3; } | '(' e ')' { $$ = $2; } | NUMBER;
%%
int main(void) { return yyparse(); }
X
bison -dy y.y; flex l.l; md5sum lex.yy.c y.tab.c
tcc -o calculate y.tab.c lex.yy.c && echo '2+3*(4+1)' | ./calculate
echo 'int puts(const char *); int main(void) { puts("in place"); return 3; }' >h.c
tcc -run h.c; echo $?; tcc -c h.c && file h.o t d y.y

openssl dgst -sha256 t
openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -S 0102030405060708 -in t | md5sum
openssl genrsa -out key 1024 2>/dev/null; openssl rsa -in key -check -noout 2>&1
openssl req -new -x509 -key key -subj /CN=x -out cert && openssl x509 -in cert -noout -subject
openssl verify -CAfile cert cert; openssl rsa -in key -pubout -out public 2>/dev/null
openssl dgst -sha256 -sign key -out signature t
openssl dgst -sha256 -verify public -signature signature t
echo '{"a":[1,2,{"b":"x"}],"c":null}' | jq -c '.a[2].b, (.a | length), keys'
echo bad | jq .; echo $?
php -n -r 'echo json_encode(["a" => 1]), "\n", shell_exec("echo shell");
    $process = proc_open("cat", [["pipe", "r"], ["pipe", "w"]], $pipes);
    fwrite($pipes[0], "to cat\n"); fclose($pipes[0]); echo stream_get_contents($pipes[1]);
    echo proc_close($process), preg_replace("/a(.)/", "$1", "abc"), date("Y", 0), "\n"; exit(7);'
echo $?
sqlite3 base 'pragma journal_mode=wal; create table t(a); insert into t values(1), (2);
    select sum(a) from t; pragma integrity_check; vacuum; select count(*) from t;'
rm -rf "$PWD"
