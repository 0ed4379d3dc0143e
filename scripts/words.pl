#!/usr/bin/env perl
# words: the private words that stood where the field has a word (docs/glossary.md). A name in SQL or C, or of a file,
# that has one of them as a part is told with its place and the word to take; the exit status is then 1.
#
#   scripts/words.pl FILE…        the files to read: *.sql, *.c, *.h by their names, any file by its own name
use strict;
use warnings;

# A part of a name, between underscores; then what only SQL must not have, as a part and as a whole name. (The sample
# renderer paints skies and weather: they are no private words there.)
my %word = (
    wish => 'job_input, user_prompt or request', wishes => 'requests', whisper => 'ephemeral_event', whispers => 'ephemeral_events',
    bell => 'notify or wakeup', sleeper => 'waiter', sleepers => 'waiters', bury => 'expire', buried => 'expired', sky => 'health',
    weather => 'health', suspect => 'quarantined', suspects => 'quarantined', parked => 'deferred', chore => 'maintenance',
    chores => 'maintenance', rescue => 'repair', mend => 'repair', tend => 'maintain, expire', vt => 'virtual_time',
    tat => 'theoretical_arrival_at',
);
my %sql_word = (
    gate => 'limiter', gates => 'limiter', floor => 'low_watermark', floors => 'low_watermarks', park => 'defer',
    stray => 'orphan', strays => 'orphans', odd => 'malformed', receiving => 'upload_session', awaited => 'media_wait',
    forget => 'purge', judge => 'classify', ring => 'notify', woken => 'admitted', turn => 'virtual_time or ord',
);
my %sql_name = (
    set_aside => 'defer_with_call', hand_over => 'advance_jobs', free_at => 'theoretical_arrival_at', 
    lose_call => 'mark_call_unknown', alone_task_id => 'quarantined_task_id',
);
# The first part of a function's name.
my %sql_first = (tell => 'emit', want => 'request', wants => 'needs', lose => 'mark_unknown', mend => 'repair');

my $found = 0;
sub refuse { my ($place, $name, $right) = @_; print "$place: $name: write $right\n"; $found = 1 }

# Blanks, but for line ends, so that lines keep their numbers.
sub blank { my ($text) = @_; $text =~ s/[^\n]/ /g; return $text }

sub sql {
    my ($text) = @_;
    # A text of more than one word is prose; one word may name a thing. Bodies are $$ … $$ and stay.
    $text =~ s{(--[^\n]*|'(?:[^']|'')*')}{my $part = $1; $part =~ /^'\w*'$/ ? $part : blank($part)}ge;
    return $text;
}

sub c {
    my ($text) = @_;
    $text =~ s{(/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)+')}{blank($1)}gse;
    return $text;
}

sub look {
    my ($file, $text, $is_sql) = @_;
    my $line = 0;
    my $is_painted = $file =~ m{^media/sample/|^tests/c/media/};
    for (split /\n/, $text, -1) {
        $line++;
        while (/\b([A-Za-z_][A-Za-z0-9_]*)\b(\()?/g) {
            my ($name, $is_called) = ($1, $2);
            next if $is_sql && $name eq 'floor' && $is_called;       # PostgreSQL's own
            refuse("$file:$line", $name, $sql_name{$name}) if $is_sql && $sql_name{$name};
            my ($first) = $name =~ /^([a-z]+)_/;
            refuse("$file:$line", $name, $sql_first{$first}) if $is_sql && $is_called && $first && $sql_first{$first};
            for my $part (split /_+/, lc $name) {
                next if $is_painted && $part =~ /^(sky|weather)$/;
                my $right = $word{$part} // ($is_sql ? $sql_word{$part} : undef);
                refuse("$file:$line", $name, $right) if $right;
            }
        }
    }
}

for my $file (@ARGV) {
    my ($base) = $file =~ m{([^/]+)$};
    for my $part (split /[^a-z0-9]+/, lc $base) {
        next if $file =~ m{^media/sample/};
        my $right = $word{$part} // ($file =~ /\.sql$/ ? $sql_word{$part} // $sql_name{$part} : undef);
        refuse($file, $base, $right) if $right;
    }
    next unless $file =~ /\.(sql|c|h)$/ && -f $file;
    open my $in, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    my $is_sql = $file =~ /\.sql$/;
    look($file, $is_sql ? sql($text) : c($text), $is_sql);
}
exit $found;
