#!/usr/bin/perl
# coverage: what gcov and the plpgsql profiler counted, as two tables and a list of what was not reached.
#
#   scripts/coverage.pl build/coverage tests/uncovered.txt
#
# A line of tests/uncovered.txt is  WHERE | TEXT | REASON : WHERE a file, or a function as kiln.name; TEXT a part of the
# line's text (* for all of it); what matches is listed with its reason and is no failure.
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
        push @reasons, { where => $where, text => $text, reason => $reason };
    }
}

sub reason {
    my ($where, $text) = @_;
    for my $r (@reasons) {
        return $r->{reason} if index($where, $r->{where}) == 0 && ($r->{text} eq '*' || index($text, $r->{text}) >= 0);
    }
    return;
}

sub percent { $_[1] ? sprintf '%5.1f %%', 100 * $_[0] / $_[1] : '    - %' }

# --- C: one .gcda or .gcno a source; a line counts as reached when any program reached it ----------------------------------
# gcov tells on stderr of each source that no program ran; the tables say it better.
open my $complaints, '>&', \*STDERR or die;
open STDERR, '>', '/dev/null' or die;
my (%line, %branch);
my @notes;
find({ no_chdir => 1, wanted => sub { push @notes, $_ if m{/obj/(lib|server|pipeline_runner)/.*\.gcno$} } }, $folder);
for my $note (sort @notes) {
    my ($object) = $note =~ m{(.*)\.gcno$};
    open my $gcov, '-|', 'gcov', '--stdout', '--json-format', '--branch-probabilities', "$object.o" or die "gcov: $!\n";
    local $/;
    my $text = <$gcov>;
    close $gcov;
    my $report = eval { decode_json($text) } or next;
    for my $file (@{ $report->{files} }) {
        next unless $file->{file} =~ m{^(lib|server|pipeline_runner)/};
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
    my $run;    # lines not reached that follow one another are one place
    for my $number (sort { $a <=> $b } keys %{ $line{$file} }) {
        my $source = ($text[ $number - 1 ] // '') =~ s/^\s+|\s+$//gr;
        my $known = reason($file, $source);
        $n[1]++;
        if ($line{$file}{$number}) { $n[0]++; undef $run }
        elsif ($run && ($run->[2] // '') eq ($known // '')) {
            $run->[4]++;
            $run->[0] = "$file:$run->[5]-$number";
            $run->[3] = "$run->[4] lines";
        }
        else {
            $run = [ "$file:$number", $source, $known, 'line', 1, $number ];
            push @uncovered, $run;
        }
        # assert() has a branch that must never be taken.
        next if $source =~ /\bassert\(/;
        my @taken = @{ $branch{$file}{$number} // [] };
        $n[3] += @taken;
        my $missed = grep { !$_ } @taken;
        $n[2] += @taken - $missed;
        push @uncovered, [ "$file:$number", $source, $known, "$missed of " . @taken . ' branches' ] if $missed && $line{$file}{$number};
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
        else { push @uncovered, [ "$function:$number", "$name: $source", reason($function =~ s/\(.*//r, $source), 'statement' ] }
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
    printf "    %-40s %s  [%s]\n", @$_[0, 1, 3] for @{ $by_reason{$reason} };
}
if (@open) {
    print "not reached, and no reason in $reasons_file:\n";
    printf "    %-40s %s  [%s]\n", @$_[0, 1, 3] for @open;
}
printf "%d places are not reached; %d of them have no reason.\n", scalar @uncovered, scalar @open;
exit(@open ? 1 : 0);
