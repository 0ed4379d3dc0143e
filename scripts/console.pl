#!/usr/bin/env perl
# console: docs/console.md from docs/console.tasks and the catalogue.
#
#   psql -X -At -F '<tab>' -c '…' | scripts/console.pl docs/console.tasks      (the query: scripts/docs.sh)
#
# Each line of stdin is: function or view, name, arguments, comment with \n for its line ends. A function or a
# view that no task shows is an error, and so is one that a task shows and the database does not have.
use strict;
use warnings;

my (%about, %shown, $status);
while (my $line = <STDIN>) {
    chomp $line;
    my ($kind, $name, $arguments, $comment) = split /\t/, $line, 4;
    $about{$name} = { kind => $kind, arguments => $arguments, comment => $comment };
}

my (@tasks, $task);
open my $in, '<', $ARGV[0] or die "$ARGV[0]: $!\n";
while (my $line = <$in>) {
    chomp $line;
    if ($line =~ /^## (.*)/) { push @tasks, $task = { title => $1, statements => [] } }
    elsif ($line =~ /^#/ || $line !~ /\S/) { next }
    else { push @{ $task->{statements} }, $line }
}
close $in;

sub fail { print STDERR "docs/console.tasks: $_[0]\n"; $status = 1 }

# What a statement names, once a task, in the order of its statements.
sub names {
    my ($statements) = @_;
    my (%seen, @found);
    for my $statement (@$statements) {
        while ($statement =~ /\bkiln\.([a-z_]+)(\()?/g) {
            my ($name, $is_called) = ($1, $2);
            fail("there is no function kiln.$name") if $is_called && !$about{$name};
            push @found, $name if $about{$name} && !$seen{$name}++;
        }
    }
    return @found;
}

sub wrapped {
    my ($text) = @_;
    my ($line, @lines) = ('');
    for my $word (split / +/, $text) {
        if (length($line) + length($word) + 1 > 108) { push @lines, $line; $line = $word; next }
        $line .= length $line ? " $word" : $word;
    }
    return join "\n  ", @lines, $line;
}

print <<'TOP';
# What one types

Made by `make docs` from `docs/console.tasks` and from the comments of the database; do not edit.
`./kiln psql` opens the console. The schema `kiln` holds what a person types and nothing else: tables, views
and these functions. `\df kiln.*` and `\dv kiln.*` list them, `\df+ kiln.cancel_job` explains one. A member of
`kiln_reader` may read, a member of `kiln_admin` may do all of it. An UPDATE changes a state too:
[states.md](states.md).
TOP
for my $each (@tasks) {
    print "\n## $each->{title}\n\n```sql\n", (map { "$_\n" } @{ $each->{statements} }), "```\n\n";
    for my $name (names($each->{statements})) {
        next if $shown{$name}++;
        my $entry = $about{$name};
        my $head = $entry->{kind} eq 'view' ? "`kiln.$name`" : "`kiln.$name($entry->{arguments})`";
        (my $comment = $entry->{comment}) =~ s/\\n/ /g;
        print '- ', wrapped("$head: $comment"), "\n";
    }
}
fail("no task shows kiln.$_") for grep { !$shown{$_} } sort keys %about;
exit($status // 0);
