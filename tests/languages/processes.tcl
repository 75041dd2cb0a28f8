# Tcl: programs, pipes and its event loop, which has a thread of its own.
puts [exec echo hi | tr a-z A-Z]
puts [expr {2**100}]
after 10 {set waited 1}
vwait waited
puts $waited
set cat [open "|cat" r+]
fconfigure $cat -blocking 0 -buffering line
fileevent $cat readable {if {[gets $cat line] >= 0} {set waited $line}}
puts $cat "through cat"
vwait waited
puts $waited
close $cat
puts [clock format 0 -gmt 1]
puts [catch {exec false} message]
puts $message
puts [catch {exec sh -c "exit 3"} message options]
puts [lindex [dict get $options -errorcode] 2]
exit 4
