#!/usr/bin/env perl
# floors: no circle between C modules and no arrow upwards between their folders, by the symbols of the objects.
#
#   scripts/floors.pl [OBJECTS]      OBJECTS: build/obj; the sources are those of the current folder
#
# A module is a .c file. It uses another one where it needs a symbol that the other defines, or names a header of its
# folder. Exit 0: all is well; 1: what is not, with the symbols; 2: an object is missing.
use strict;
use warnings;
use File::Find;

# The floors of each program, from the top down: a file, or a folder with all below it. A module uses its own floor and those
# after it, and lib/, which uses nothing else.
my %floors = (
    lib             => ['lib'],
    media           => [qw(media/main.c media/cli.c media/check.c media/prepare.c media/finish.c media/disclose.c media/sample media/files media/tool)],
    pipeline_runner => [qw(pipeline_runner/main.c pipeline_runner/copy.c pipeline_runner/housekeeping.c
                           pipeline_runner/dispatch pipeline_runner/call pipeline_runner/http pipeline_runner/exec pipeline_runner/context)],
    server          => [qw(server/main.c server/routes.c server/routes server/stream server/auth server/http server/pool)],
);
my $objects = shift // 'build/obj';

sub program { $_[0] =~ m{^([^/]+)/} ? $1 : '' }

# The number of its floor, 0 at the top; a header stands where its module does.
sub floor_of {
    my ($file) = @_;
    my $list = $floors{ program($file) } // [];
    (my $source = $file) =~ s/\.h$/.c/;
    for my $i (0 .. $#$list) {
        return $i if $source eq $list->[$i] or $file =~ m{^\Q$list->[$i]\E/};
    }
    # A header of a program's own folder with no file of that name (ops.h) is on the floor of whoever includes it.
    return undef;
}

# --- what each module defines, needs and includes -------------------------------------------------------------------------
my (@modules, %defines, %needs, %includes, @found);
find({ no_chdir => 1, wanted => sub { push @modules, $_ if /\.c$/ } }, grep { -d } sort keys %floors);
@modules = sort @modules;
for my $module (@modules) {
    (my $object = "$objects/$module") =~ s/\.c$/.o/;
    if (!-e $object) { print "$object is missing: make build\n"; exit 2 }
    push @found, "$module is on no floor of scripts/floors.pl" unless defined floor_of($module);
    open my $nm, '-|', 'nm', '--extern-only', $object or die "nm: $!\n";
    while (<$nm>) {
        if    (/^\s+[Uw] (\S+)/)             { push @{ $needs{$module} }, $1 }
        elsif (/^[0-9a-f]+ [A-TV-Z] (\S+)/) { $defines{ program($module) }{$1} = $module unless $1 eq 'main' }
    }
    close $nm;
    for my $file ($module, $module =~ s/\.c$/.h/r) {
        next unless -e $file;
        open my $in, '<', $file or die "$file: $!\n";
        while (<$in>) { push @{ $includes{$file} }, $1 if /^#include "([^"]+)"/ }
    }
}

# --- who uses whom --------------------------------------------------------------------------------------------------------
my %uses;
for my $module (@modules) {
    for my $symbol (@{ $needs{$module} // [] }) {
        # Two programs may each have a function of the same name: they are never linked together.
        my ($other) = grep { defined } map { $defines{$_}{$symbol} } program($module), 'lib', sort keys %floors;
        push @{ $uses{$module}{$other} }, $symbol if defined $other && $other ne $module;
    }
}

sub arrow_is_upward {
    my ($from, $to) = @_;
    return program($to) ne 'lib' if program($from) ne program($to);
    my ($here, $there) = (floor_of($from), floor_of($to));
    return 0 unless defined $here && defined $there;
    return $there < $here;
}

for my $from (sort keys %uses) {
    for my $to (sort keys %{ $uses{$from} }) {
        push @found, "upward: $from needs @{ $uses{$from}{$to} } of $to" if arrow_is_upward($from, $to);
    }
}
for my $from (sort keys %includes) {
    for my $to (@{ $includes{$from} }) {
        next unless $to =~ m{/} and exists $floors{ program($to) };
        push @found, "upward: $from includes $to" if arrow_is_upward($from, $to);
    }
}

# --- circles: modules that reach one another (Tarjan) ---------------------------------------------------------------------
my (%index, %low, %on, @stack, @circles);
my $count = 0;
sub visit {
    my ($v) = @_;
    $index{$v} = $low{$v} = $count++;
    push @stack, $v;
    $on{$v} = 1;
    for my $w (sort keys %{ $uses{$v} // {} }) {
        if (!defined $index{$w}) { visit($w); $low{$v} = $low{$w} if $low{$w} < $low{$v} }
        elsif ($on{$w} && $index{$w} < $low{$v}) { $low{$v} = $index{$w} }
    }
    return if $low{$v} != $index{$v};
    my @circle;
    while (1) {
        my $w = pop @stack;
        delete $on{$w};
        push @circle, $w;
        last if $w eq $v;
    }
    push @circles, [sort @circle] if @circle > 1;
}
no warnings 'recursion';
defined $index{$_} or visit($_) for @modules;

my $in_circles = 0;
for my $circle (@circles) {
    my %member = map { $_ => 1 } @$circle;
    $in_circles += @$circle;
    push @found, 'circle of ' . @$circle . ' modules:';
    for my $from (@$circle) {
        for my $to (grep { $member{$_} } sort keys %{ $uses{$from} }) {
            push @found, "    $from needs @{ $uses{$from}{$to} } of $to";
        }
    }
}
print map { "$_\n" } @found;
printf "%d modules, %d of them in circles, %d arrows upwards\n", scalar @modules, $in_circles, scalar grep { /^upward/ } @found;
exit(@found ? 1 : 0);
