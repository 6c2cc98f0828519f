#!/usr/bin/perl
use strict;
use warnings;
$| = 1;
print join(",", map { $_ * 2 } 1 .. 5), "\n";
print `echo from a child`;
system("true") == 0 or die;
open(my $pipe, "-|", "seq", 3) or die;
print <$pipe>;
close $pipe;
local $SIG{ALRM} = sub { die "alarm\n" };
eval { alarm 1; select(undef, undef, undef, 5) };
print $@;
my $child = fork;
if (!$child) { exec "echo", "from fork" or die }
waitpid $child, 0;
exit 7;
