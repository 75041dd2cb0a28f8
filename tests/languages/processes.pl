# Perl: processes, pipes, signals, files, and modules of its standard library.
use strict;
use warnings;
use POSIX qw(:sys_wait_h strftime floor);
use List::Util qw(sum);
use File::Temp qw(tempdir);
use File::Find;
use File::Path qw(make_path);
use File::Copy;
use Time::HiRes qw(usleep setitimer ITIMER_REAL);
use IO::Select;
use IPC::Open3;
use Storable qw(freeze thaw);
use Digest::SHA qw(sha256_hex);
use Encode;
use Fcntl qw(:flock :DEFAULT);
use Math::BigInt;
use Tie::File;
use SDBM_File;
use JSON::PP;
use Compress::Zlib;

$| = 1;
my $pid = fork // die;
exit 7 unless $pid;
waitpid $pid, 0;
print "child ", $? >> 8, "\n";
print "system ", join(" ", map { system($_) >> 8 } "exit 3", "true", "no-such 2>/dev/null"), "\n";
print "no program: ", system("/no/program"), " $!\n";

open(my $f, "-|", "echo one; echo two") or die;
print "read $_" while <$f>;
close $f;
open($f, "-|", "sh", "-c", 'kill -9 $$') or die;
1 while <$f>;
close $f;
print "killed $?\n";
open($f, "|-", "tr a-z A-Z") or die;
print $f "to upper case\n";
close $f;
my $text = `echo backticks; exit 2`;
print $text, $? >> 8, "\n";
$pid = open($f, "-|") // die;
if (!$pid) { print "from a forked child\n"; exit 5 }
print <$f>;
close $f;
print $? >> 8, "\n";
my $both = open3(my $in, my $out, undef, "cat; echo err >&2; exit 4");
print $in "to cat\n";
close $in;
print <$out>;
waitpid $both, 0;
print $? >> 8, "\n";

{
    local $SIG{ALRM} = sub { die "alarm\n" };
    eval { alarm 1; select undef, undef, undef, 60; };
    print "ended by $@";
}
{
    my $count = 0;
    local $SIG{USR1} = sub { $count++ };
    kill USR1 => $$ for 1 .. 5;
    print "signals $count\n";
}
{
    my $ticks = 0;
    local $SIG{ALRM} = sub { $ticks++ };
    setitimer(ITIMER_REAL, 0.02, 0.02);
    1 while $ticks < 3;
    setitimer(ITIMER_REAL, 0);
    print "ticks\n";
}
{
    my $status;
    local $SIG{CHLD} = sub { while (waitpid(-1, WNOHANG) > 0) { $status = $? } };
    POSIX::_exit(9) unless fork;
    usleep 10000 until defined $status;
    print "reaped ", $status >> 8, "\n";
}
{
    local $SIG{PIPE} = 'IGNORE';
    pipe my $r, my $w;
    close $r;
    print defined syswrite($w, "x") ? "written" : "broken pipe: $!", "\n";
}
my @children = map { my $i = $_; my $p = fork; POSIX::_exit($i) unless $p; $p } 1 .. 10;
my $sum = 0;
for (@children) { waitpid $_, 0; $sum += $? >> 8 }
print "ten children $sum\n";
pipe my $r, my $w;
unless (fork) {
    close $r;
    for (1 .. 3) { syswrite $w, "message $_\n"; usleep 10000 }
    POSIX::_exit(0);
}
close $w;
my ($select, $length) = (IO::Select->new($r), 0);
while ($select->can_read) { sysread($r, my $part, 100) or last; $length += length $part }
wait;
print "selected $length\n";

my $dir = tempdir(CLEANUP => 1);
make_path("$dir/a/b");
for (1 .. 5) { open my $h, ">", "$dir/a/f$_" or die; print $h "x" x $_; close $h }
copy("$dir/a/f3", "$dir/a/b/copy");
move("$dir/a/f4", "$dir/a/b/moved");
my @found;
find(sub { push @found, $File::Find::name =~ s/^\Q$dir//r . (-d $_ ? "/" : ":" . -s _) }, $dir);
print join(" ", sort @found), "\n";
open my $lock, ">", "$dir/lock";
flock $lock, LOCK_EX or die;
unless (fork) {
    open my $other, ">", "$dir/lock";
    POSIX::_exit(flock($other, LOCK_EX | LOCK_NB) ? 0 : 1);
}
wait;
print "locked ", $? >> 8, "\n";
tie my @lines, 'Tie::File', "$dir/lines" or die;
push @lines, "line $_" for 1 .. 5;
splice @lines, 1, 2, "replaced by something longer";
untie @lines;
open $f, "<", "$dir/lines";
print <$f>;
close $f;
tie my %db, 'SDBM_File', "$dir/db", O_RDWR | O_CREAT, 0644 or die;
$db{"key $_"} = "value $_" for 1 .. 100;
print scalar(keys %db), " $db{'key 42'}\n";
untie %db;
symlink "f5", "$dir/a/link";
print readlink "$dir/a/link", " ", -l "$dir/a/link" ? "link" : "?", "\n";
utime 1000, 2000, "$dir/a/f5";
chmod 0600, "$dir/a/f5";
my @stat = stat "$dir/a/f5";
printf "%o %d %d\n", $stat[2] & 07777, $stat[7], $stat[9];
print open(my $none, "<", "/no/file") ? "opened" : "no file: $!", "\n";

print sha256_hex("a"), "\n", decode("UTF-8", "\xc3\xa9") eq "\x{e9}" ? "UTF-8\n" : "?\n";
print JSON::PP->new->canonical->encode(thaw(freeze({ a => [1, { b => undef }] }))), "\n";
print strftime("%F", gmtime 86400), " ", floor(3.7), " ", sum(1 .. 10), "\n";
print Math::BigInt->new(2)->bpow(100), "\n";
print length Compress::Zlib::memGunzip(Compress::Zlib::memGzip("data" x 1000)), "\n";
exec "sh", "-c", 'echo executed $1; exit 6', "sh", "in place";
