#!/usr/bin/perl
# coverage: what gcov and the plpgsql profiler counted, as two tables and a list of what was not reached.
#
#   scripts/coverage.pl build/coverage tests/uncovered.txt
#
# A line of tests/uncovered.txt is  WHERE | TEXT | REASON : WHERE the beginning of a file's path or of a function's name as
# kiln.name (nothing: everywhere); TEXT a part of a line's text, or * for all of it, or (branches): a line that was reached,
# but not by every way out of it. With a number, *20 or (branches 20), it is a reason for so many places and no more, so
# that what is new does not hide behind it. The first that matches gives the reason: the place is listed with it and is
# no failure. Of (branches) a number a file is printed, with COVERAGE_ALL=1 each.
use strict;
use warnings;
use utf8;
use JSON::PP;
use File::Find;
binmode STDOUT, ':utf8';
binmode STDERR, ':utf8';

my ($folder, $reasons_file) = @ARGV;
my (@reasons, @uncovered);

if (open my $in, '<:utf8', $reasons_file) {
    while (<$in>) {
        next if /^\s*(#|$)/;
        my ($where, $text, $reason) = map { s/^\s+|\s+$//gr } split /\|/, $_, 3;
        die "$reasons_file:$.: not of the form WHERE | TEXT | REASON\n" unless length($reason // '');
        my ($kind, $most) = $text =~ /^(\*|\(branches)\s*(\d+)?\)?$/;
        push @reasons, { where => $where, text => $text, reason => $reason, kind => $kind // '', most => $most, line => $., used => 0 };
    }
}

# $kind: line, branches or statement.
sub reason {
    my ($where, $text, $kind) = @_;
    for my $r (@reasons) {
        next unless index($where, $r->{where}) == 0;
        next if ($kind eq 'branches') != ($r->{kind} eq '(branches');
        next unless $r->{kind} || index($text, $r->{text}) >= 0;
        next if defined $r->{most} && $r->{used} >= $r->{most};
        $r->{used}++;
        return $r->{reason};
    }
    return undef;    # not an empty list, where it stands in one
}

sub percent { $_[1] ? sprintf '%5.1f %%', 100 * $_[0] / $_[1] : '    - %' }

# --- C: one .gcda or .gcno a source; a line counts as reached when any program reached it ----------------------------------
# gcov tells on stderr of each source that no program ran; the tables say it better.
open my $complaints, '>&', \*STDERR or die;
open STDERR, '>', '/dev/null' or die;
my (%line, %branch);
my @notes;
find({ no_chdir => 1, wanted => sub { push @notes, $_ if m{/obj/(lib|server|pipeline_runner|media)/.*\.gcno$} } }, $folder);
for my $note (sort @notes) {
    my ($object) = $note =~ m{(.*)\.gcno$};
    open my $gcov, '-|', 'gcov', '--stdout', '--json-format', '--branch-probabilities', "$object.o" or die "gcov: $!\n";
    local $/;
    my $text = <$gcov>;
    close $gcov;
    my $report = eval { decode_json($text) } or next;
    for my $file (@{ $report->{files} }) {
        next unless $file->{file} =~ m{^(lib|server|pipeline_runner|media)/};
        for my $l (@{ $file->{lines} }) {
            $line{ $file->{file} }{ $l->{line_number} } += $l->{count};
            my $i = 0;
            for my $b (@{ $l->{branches} }) {
                $branch{ $file->{file} }{ $l->{line_number} }[ $i++ ] += $b->{count};
            }
        }
    }
}
open STDERR, '>&', $complaints or die;
my (@total) = (0, 0, 0, 0);
print "C                                             lines           branches\n" if %line;
for my $file (sort keys %line) {
    open my $in, '<:utf8', $file or die "$file: $!\n";
    my @text = <$in>;
    my @n = (0, 0, 0, 0);
    my ($run, @runs);    # lines not reached that follow one another are one place
    for my $number (sort { $a <=> $b } keys %{ $line{$file} }) {
        my $source = ($text[ $number - 1 ] // '') =~ s/^\s+|\s+$//gr;
        $n[1]++;
        if ($line{$file}{$number}) { $n[0]++; undef $run }
        elsif ($run) { push @$run, [ $number, $source ] }
        else { push @runs, $run = [ [ $number, $source ] ] }
        # assert() has a branch that must never be taken.
        next if $source =~ /\bassert\(/;
        my @taken = @{ $branch{$file}{$number} // [] };
        $n[3] += @taken;
        my $missed = grep { !$_ } @taken;
        $n[2] += @taken - $missed;
        push @uncovered, [ "$file:$number", $source, reason($file, $source, 'branches'), "$missed of " . @taken . ' branches' ]
            if $missed && $line{$file}{$number};
    }
    for my $r (@runs) {
        my ($first, $last) = ($r->[0][0], $r->[-1][0]);
        my $known = reason($file, join("\n", map { $_->[1] } @$r), 'line');
        push @uncovered, [ @$r > 1 ? "$file:$first-$last" : "$file:$first", $r->[0][1], $known, @$r > 1 ? @$r . ' lines' : 'line' ];
    }
    printf "  %-42s %s %-9s  %s %s\n", $file, percent(@n[0, 1]), "$n[0]/$n[1]", percent(@n[2, 3]), "$n[2]/$n[3]";
    $total[$_] += $n[$_] for 0 .. 3;
}
printf "  %-42s %s %-9s  %s %s\n\n", 'all', percent(@total[0, 1]), "$total[0]/$total[1]", percent(@total[2, 3]), "$total[2]/$total[3]" if %line;

# --- plpgsql --------------------------------------------------------------------------------------------------------------
my (%statement, %about);
if (open my $in, '<:utf8', "$folder/plpgsql.tsv") {
    while (<$in>) {
        chomp;
        my ($function, $id, $number, $name, $count, $source) = split /\t/, $_, 6;
        next if $name eq 'statement block';    # BEGIN is no work of its own
        $statement{$function}{$id} += $count;
        $about{$function}{$id} = [ $number, $name, $source // '' ];
    }
}
my @all = (0, 0);
print "plpgsql                                                      statements\n" if %statement;
for my $function (sort keys %statement) {
    my @n = (0, 0);
    for my $id (sort { $a <=> $b } keys %{ $statement{$function} }) {
        my ($number, $name, $source) = @{ $about{$function}{$id} };
        $n[1]++;
        if ($statement{$function}{$id}) { $n[0]++ }
        else { push @uncovered, [ "$function:$number", "$name: $source", reason($function =~ s/\(.*//r, $source, 'statement'), 'statement' ] }
    }
    $all[$_] += $n[$_] for 0, 1;
    my $short = length $function > 57 ? substr($function, 0, 56) . '…' : $function;
    printf "  %-57s %s %s\n", $short, percent(@n), "$n[0]/$n[1]" if $n[0] < $n[1];
}
printf "  %-57s %s %s\n\n", 'all ' . keys(%statement) . ' functions (those above are not whole)', percent(@all), "$all[0]/$all[1]" if %statement;

# --- what is missing --------------------------------------------------------------------------------------------------------
my @open = grep { !defined $_->[2] } @uncovered;
my %by_reason;
push @{ $by_reason{ $_->[2] } }, $_ for grep { defined $_->[2] } @uncovered;
for my $reason (sort keys %by_reason) {
    print "not reached, since $reason:\n";
    my %many;
    for (@{ $by_reason{$reason} }) {
        if ($_->[3] =~ /branches$/ && !$ENV{COVERAGE_ALL}) { $many{ $_->[0] =~ s/:.*//r }++ }
        else { printf "    %-40s %s  [%s]\n", @$_[0, 1, 3] }
    }
    printf "    %-40s %d lines that some way out of was not taken\n", $_, $many{$_} for sort keys %many;
}
if (@open) {
    print "not reached, and no reason in $reasons_file:\n";
    printf "    %-40s %s  [%s]\n", @$_[0, 1, 3] for @open;
}
print "$reasons_file:$_->{line}: every place like that is reached: $_->{where} | $_->{text}\n" for grep { !$_->{used} } @reasons;
printf "%d places are not reached; %d of them have no reason.\n", scalar @uncovered, scalar @open;
exit(@open ? 1 : 0);
