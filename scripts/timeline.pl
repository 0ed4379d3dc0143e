#!/usr/bin/perl
# timeline: reads one event stream (SSE, as curl -N gives it) and prints what happens to the jobs it was told of, a line
# an event, with the seconds since it started. Ends when all have ended: 0 when all completed, 1 otherwise.
#
#   curl -N … | scripts/timeline.pl SECONDS_TO_WAIT JOBS_FILE
#
# JOBS_FILE holds a line `ID NAME` a job. It may appear after the stream began, so that nothing is missed: the stream is
# opened first, then the jobs are made. At `ready` an empty file JOBS_FILE.ready is made.
use strict;
use warnings;
use utf8;
use JSON::PP;
use Time::HiRes qw(time);
$| = 1;
binmode STDOUT, ':utf8';

my ($patience, $jobs_file) = @ARGV;
my $colour = -t STDOUT && !length($ENV{NO_COLOR} // '');
my %shade  = (image => 36, video => 35, audio => 33, completed => 32, failed => 31);
my $start  = time;
my (%name, %ended, $failed, @waiting, $at);

sub paint { my ($code, $text) = @_; $colour && $code ? "\e[${code}m$text\e[0m" : $text }

sub line {
    my ($who, $text) = @_;
    printf "  %6.2f s  %s  %s\n", $at - $start, paint($shade{$who}, sprintf '%-5s', $who), $text;
}

sub bar {
    my $cells = int(20 * $_[0] + 0.5);
    return '█' x $cells . '░' x (20 - $cells) . sprintf ' %3d %%', 100 * $_[0];
}

sub jobs_known {
    return 1 if %name;
    open my $in, '<', $jobs_file or return 0;
    while (<$in>) { $name{$1} = $2 if /^(\S+) (\S+)$/ }
    return %name ? 1 : 0;
}

sub report {
    (my ($type, $event), $at) = @_;
    my $id = $event->{job_id} // return;
    my $who = $name{$id} // return;
    if ($type eq 'job.progress') {
        my $progress = ref $event->{progress} ? $event->{progress} : $event;
        my $stage = $progress->{label} // $progress->{stage} // '';
        line($who, bar($progress->{fraction} // 0) . "  $stage");
    }
    elsif ($type =~ /^job\.(completed|failed|cancelled|held)$/) {
        my $error = ref $event->{error} ? $event->{error}{message} : $event->{error};
        line($who, paint($shade{$1 eq 'completed' ? 'completed' : 'failed'}, $1) . (defined $error ? ": $error" : ''));
        $ended{$id} = 1;
        $failed = 1 if $1 ne 'completed';
    }
    elsif ($type =~ /^job\.(\w+)$/) {
        line($who, $1);
    }
}

sub give_up {
    my @open = grep { !$ended{$_} } keys %name;
    exit 1 unless %name;    # nothing was asked for: whoever started this knows more
    print "  $_[0]", (@open ? ': no end of ' . join(', ', map { $name{$_} } @open) : ''), "\n";
    exit 1;
}

# take LINE: one line of the stream; an event is whole at the empty line.
my ($type, $data) = ('', '');
sub take {
    my ($text) = @_;
    if ($text =~ /^event: ?(.*)/) { $type = $1 }
    elsif ($text =~ /^data: ?(.*)/) { $data .= $1 }
    elsif ($text eq '' && $data ne '') {
        my $event = eval { decode_json($data) } // {};
        $type = $event->{type} // '' if $type eq '';
        if ($type eq 'ready') {
            open my $out, '>', "$jobs_file.ready" or die "cannot write $jobs_file.ready: $!\n";
            close $out;
        }
        push @waiting, [$type, $event, time];
        ($type, $data) = ('', '');
    }
}

my $buffer = '';
my $set    = '';
vec($set, fileno(STDIN), 1) = 1;
while (time - $start < $patience) {
    if (select(my $readable = $set, undef, undef, 0.05) > 0) {
        sysread(STDIN, $buffer, 65536, length $buffer) or give_up('the stream ended too early');
        take($1) while $buffer =~ s/^([^\n]*?)\r?\n//;
    }
    next unless jobs_known();
    report(@$_) for splice @waiting;
    exit($failed ? 1 : 0) if keys %ended == keys %name;
}
give_up("waited $patience s");
