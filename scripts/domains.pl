#!/usr/bin/env perl
# domains: db/install.psql lists the files of Kiln's database by domain, in one order. A file names only what a file of its
# own or of an earlier domain creates; each name that stands later is printed, and the exit status is 1.
#
# Comments, sentences (`comment on`) and string constants are no calls: a hint may name what a person types next.
use strict;
use warnings;

# What still stands in the wrong order: a function, and the names of later domains that it may use. The list only gets shorter.
my %known = (
    # the timer names the function of each maintenance job, and one purge goes for two domains
    'kiln_runner.tick' => 'any', 'kiln_internal.purge_ephemeral_events' => 'kiln.typing',
    # what a product adds to a job when it is made, moves, fails, is deleted or is tried again
    'kiln.enqueue' => 'kiln.tryon', 'kiln_internal.on_job_moves' => 'kiln_internal.reject_upload kiln.tryon kiln.image',
    'kiln_internal.on_job_delete' => 'kiln.tryon', 'kiln_internal.retry_as_asked' => 'kiln.retry_job',
    # what the handler http adds to a stage and to a failed task, and a description that the stages still have to fit
    'kiln_internal.guard_stage' => 'kiln_internal.config_errors', 'kiln_internal.fail_task' => 'kiln_internal.fail_with_call',
    'kiln_internal.check_provider' => 'kiln.stage kiln.pipeline kiln_internal.http_config_errors',
);

my $page = slurp('db/install.psql');
my (@files, %rank, @order);
while ($page =~ m{^\s*\\ir ((?:schema|functions|triggers|api|views|seed)/([a-z_]+)/[a-z_0-9]+\.sql)$}mg) {
    push @files, ["db/$1", $2];
    $rank{$2} //= push @order, $2;
}
die "domains: db/install.psql lists no file of a domain\n" unless @files;

my ($errors, %made, %code) = (0);
for (@files) {
    my ($file, $domain) = @$_;
    my $text = slurp($file);
    $text =~ s{('(?:[^']|'')*')|--[^\n]*}{$1 // ''}ge;
    $text =~ s/^comment on [^']*'(?:[^']|'')*';$//mg;
    $text =~ s/'(?:[^']|'')*'/''/g;
    while ($text =~ /^create (?:or replace |unlogged )?(?:function|view|type|table|sequence|domain) (kiln(?:_\w+)?\.\w+)/mg) {
        my $name = $1;
        $made{$name} = $domain if !defined $made{$name} || $rank{$domain} < $rank{ $made{$name} };
    }
    $code{$file} = $text;
}
for (@files) {
    my ($file, $domain) = @$_;
    my %seen;
    my $within = '';
    for my $line (split /\n/, $code{$file}) {
        $within = $1 if $line =~ /^create .*?\b(kiln(?:_\w+)?\.\w+)/;
        while ($line =~ /\b(kiln(?:_\w+)?\.\w+)/g) {
            next unless defined $made{$1} && $rank{ $made{$1} } > $rank{$domain} && !$seen{"$within $1"}++;
            my $name = $1;
            next if ($known{$within} // '') =~ /(?:^| )(?:any$|\Q$name\E(?: |$))/;
            print "$file: $within names $name of $made{$name}, which stands after $domain\n";
            $errors++;
        }
    }
}
# A file that the page does not list is dead.
my %listed = map { $_->[0] => 1 } @files;
for my $file (glob 'db/{schema,functions,triggers,api,views,seed}/*.sql db/{schema,functions,triggers,api,views,seed}/*/*.sql') {
    next if $listed{$file};
    print "$file: db/install.psql does not load it\n";
    $errors++;
}
exit($errors ? 1 : 0);

sub slurp {
    my ($path) = @_;
    local $/;
    open my $handle, '<', $path or die "$path: $!\n";
    return <$handle>;
}
