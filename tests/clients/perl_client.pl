#!/usr/bin/perl
# Redis.pm and Cache::Memcached::Fast: perl_client.pl HOST PORT redis|memcached
use strict;
use warnings;
use Time::HiRes qw(sleep);
my ($host, $port, $how) = @ARGV;
my $P = "perl-$how-$$-";
my $failed = 0;
my @sizes = (0, 1, 100, 1400, 1461, 16384, 65536, 300_000, 1 << 20);

sub check {
	my ($name, $work) = @_;
	if (eval { $work->(); 1 }) { print "ok $name\n" }
	else { my $why = substr($@, 0, 300); $why =~ s/\s+/ /g; $failed++; print "not ok $name: $why\n" }
}
sub same {
	my ($is, $should) = map { defined $_ ? $_ : 'undef' } @_[0, 1];
	die sprintf("'%.100s' instead of '%.100s', line %d", $is, $should, (caller)[2]) if $is ne $should;
}
sub body {
	my ($size, $seed) = (@_, 1);
	my $unit = join('', map { chr(($_ * 7 + $seed * 13 + int($_ / 251)) & 255) } 0 .. 4095) . "\r\nEND\r\n\0";
	return substr($unit x (int($size / length $unit) + 1), 0, $size);
}

if ($how eq 'redis') {
	require Redis;
	print "client Redis.pm $Redis::VERSION\n";
	my $r = Redis->new(server => "$host:$port", cnx_timeout => 5, read_timeout => 10, reconnect => 5);
	check('set get del', sub { same($r->set($P . 'a', 1), 'OK'); same($r->get($P . 'a'), 1); same($r->del($P . 'a'), 1); same(scalar $r->get($P . 'a'), undef) });
	for my $size (@sizes) { check("value of $size B", sub { $r->set($P . 'l', body($size)); same($r->get($P . 'l'), body($size)) }) }
	check('counters', sub { same($r->incr($P . 'n'), 1); same($r->incrby($P . 'n', 9), 10); same($r->decr($P . 'n'), 9) });
	check('expiry', sub { same($r->set($P . 'e', 1, 'EX', 100), 'OK'); same($r->ttl($P . 'e') > 98, 1); same($r->persist($P . 'e'), 1) });
	check('mset mget', sub { $r->mset(map { ($P . "m$_", $_) } 0 .. 99); same(join(',', $r->mget(map { $P . "m$_" } 0 .. 99)), join(',', 0 .. 99)) });
	check('pipeline', sub {
		my $sum = 0;
		$r->incr($P . 'p', sub { $sum += $_[0] }) for 1 .. 200;
		$r->wait_all_responses;
		same($sum, 200 * 201 / 2);
	});
	check('multi', sub { $r->multi; $r->set($P . 'x', 1); $r->incr($P . 'x'); same(join(',', $r->exec), 'OK,2') });
	check('errors', sub { $r->set($P . 'w', 'word'); same(scalar(eval { $r->incr($P . 'w'); 1 }), undef); same($@ =~ /not an integer/ ? 1 : $@, 1); same($r->ping, 'PONG') });
	check('info', sub { same(exists $r->info->{redis_version}, 1) });
	check('quit', sub { same($r->quit, 1) });
} else {
	require Cache::Memcached::Fast;
	print "client Cache::Memcached::Fast $Cache::Memcached::Fast::VERSION\n";
	my $m = Cache::Memcached::Fast->new({ servers => ["$host:$port"], io_timeout => 10, max_size => 1 << 21, namespace => $P });
	check('set get delete', sub { same($m->set('a', 'one'), 1); same($m->get('a'), 'one'); same($m->delete('a'), 1); same(scalar $m->get('a'), undef) });
	for my $size (@sizes) { check("value of $size B", sub { same($m->set('l', body($size)), 1); same($m->get('l'), body($size)) }) }
	check('add replace append prepend', sub {
		same($m->add('x', 'b'), 1); same($m->add('x', 'c'), ''); same($m->replace('x', 'bb'), 1); $m->append('x', 'c'); $m->prepend('x', 'a'); same($m->get('x'), 'abbc');
	});
	check('gets and cas', sub { my $c = $m->gets('x'); same($m->cas('x', $c->[0], 'new'), 1); same($m->cas('x', $c->[0], 'newer'), ''); same($m->get('x'), 'new') });
	check('counters', sub { $m->set('n', 10); same($m->incr('n', 5), 15); same($m->decr('n', 100) + 0, 0) });
	check('set_multi get_multi', sub {
		$m->set_multi(map { ["m$_", "v$_"] } 0 .. 99);
		my $found = $m->get_multi((map { "m$_" } 0 .. 99), 'none');
		same(scalar keys %$found, 100); same($found->{m42}, 'v42');
	});
	check('without replies', sub { for my $i (0 .. 99) { $m->set('nr', $i) } $m->nowait_push; same($m->get('nr'), 99) });
	check('touch', sub { same($m->touch('x', 100), 1) });
	check('versions', sub { same(scalar keys %{ $m->server_versions }, 1) });
	check('reconnect', sub { for my $i (0 .. 19) { $m->disconnect_all; same($m->set('again', $i), 1) } });
}
exit($failed ? 1 : 0);
