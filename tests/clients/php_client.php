<?php
// php-memcached and php-redis: php_client.php HOST PORT memcached-text|memcached-binary|redis
[, $host, $port, $how] = $argv;
$failed = 0;
$P = "php-$how-" . getmypid() . "-";
set_error_handler(function ($no, $text) { throw new ErrorException($text); });

function check($name, $work) {
	global $failed;
	try {
		$work();
		echo "ok $name\n";
	} catch (Throwable $e) {
		$failed++;
		echo "not ok $name: line {$e->getLine()}: {$e->getMessage()}\n";
	}
}
function same($is, $should) {
	if ($is !== $should)
		throw new Exception(substr(var_export($is, true), 0, 200) . ' instead of ' . substr(var_export($should, true), 0, 200));
}
function body($size, $seed = 1) {
	$unit = '';
	for ($i = 0; $i < 4096; $i++)
		$unit .= chr(($i * 7 + $seed * 13 + intdiv($i, 251)) & 255);
	return substr(str_repeat($unit . "\r\nEND\r\n\0", intdiv($size, 4096) + 1), 0, $size);
}
const SIZES = [0, 1, 100, 1400, 1461, 16384, 65536, 300000, 1 << 20];

if ($how === 'redis') {
	echo "client php-redis ", phpversion('redis'), "\n";
	$r = new Redis();
	check('connect', function () use ($r, $host, $port) { same($r->connect($host, (int)$port, 5.0), true); $r->setOption(Redis::OPT_READ_TIMEOUT, 10); });
	check('set get del', function () use ($r, $P) {
		same($r->set("{$P}a", '1'), true); same($r->get("{$P}a"), '1'); same($r->del("{$P}a"), 1); same($r->get("{$P}a"), false);
	});
	foreach (SIZES as $size)
		check("value of $size B", function () use ($r, $P, $size) { same($r->set("{$P}l", body($size)), true); same($r->get("{$P}l"), body($size)); });
	check('expiry', function () use ($r, $P) {
		same($r->set("{$P}e", '1', ['nx', 'ex' => 100]), true); same($r->set("{$P}e", '1', ['nx', 'ex' => 100]), false);
		same($r->ttl("{$P}e") > 98, true); same($r->persist("{$P}e"), true); same($r->ttl("{$P}e"), -1);
	});
	check('counters', function () use ($r, $P) { same($r->incr("{$P}n"), 1); same($r->incrBy("{$P}n", 9), 10); same($r->decr("{$P}n"), 9); });
	check('mset mget', function () use ($r, $P) {
		$many = [];
		for ($i = 0; $i < 100; $i++) $many["{$P}m$i"] = (string)$i;
		same($r->mset($many), true); same($r->mget(array_keys($many)), array_values($many));
	});
	check('pipeline', function () use ($r, $P) {
		$r->multi(Redis::PIPELINE);
		for ($i = 0; $i < 200; $i++) $r->set("{$P}p", $i)->get("{$P}p");
		$answers = $r->exec();
		same(count($answers), 400); same($answers[399], '199');
	});
	check('multi', function () use ($r, $P) { same($r->multi()->set("{$P}x", '1')->incr("{$P}x")->exec(), [true, 2]); });
	check('watch', function () use ($r, $P, $host, $port) {
		$r->watch("{$P}x");
		$o = new Redis(); $o->connect($host, (int)$port); $o->set("{$P}x", 'other');
		same($r->multi()->set("{$P}x", 'mine')->exec(), false); same($r->get("{$P}x"), 'other');
	});
	check('scan', function () use ($r, $P) {
		$r->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
		$found = []; $it = null;
		while ($keys = $r->scan($it, "{$P}m*", 50)) foreach ($keys as $key) $found[$key] = 1;
		same(count($found), 100);
	});
	check('info', function () use ($r) { same(isset($r->info()['redis_version']), true); });
	check('errors', function () use ($r, $P) {
		$r->set("{$P}w", 'word'); same($r->incr("{$P}w"), false);
		same(strpos($r->getLastError(), 'ERR value is not an integer'), 0); same($r->ping(), true);
	});
	check('reconnect', function () use ($P, $host, $port) {
		for ($i = 0; $i < 20; $i++) { $o = new Redis(); $o->connect($host, (int)$port); same($o->set("{$P}again", 'x'), true); $o->close(); }
	});
} else {
	echo "client php-memcached/", substr($how, 10), " ", phpversion('memcached'), "\n";
	$make = function () use ($host, $port, $how) {
		$m = new Memcached();
		$m->setOption(Memcached::OPT_BINARY_PROTOCOL, $how === 'memcached-binary');
		$m->setOption(Memcached::OPT_COMPRESSION, false);
		$m->setOption(Memcached::OPT_TCP_NODELAY, true);
		$m->addServer($host, (int)$port);
		return $m;
	};
	$m = $make();
	check('set get delete', function () use ($m, $P) {
		same($m->set("{$P}a", 'one'), true); same($m->get("{$P}a"), 'one'); same($m->delete("{$P}a"), true);
		same($m->get("{$P}a"), false); same($m->getResultCode(), Memcached::RES_NOTFOUND);
	});
	foreach (SIZES as $size)
		check("value of $size B", function () use ($m, $P, $size) { same($m->set("{$P}l", body($size)), true); same($m->get("{$P}l"), body($size)); });
	check('kinds of values', function () use ($m, $P) {
		foreach ([7, 1.5, true, ['a' => [1, 2]]] as $value) { same($m->set("{$P}k", $value), true); same($m->get("{$P}k"), $value); }
	});
	check('add replace append prepend', function () use ($m, $P) {
		same($m->add("{$P}x", 'b'), true); same($m->add("{$P}x", 'c'), false); same($m->replace("{$P}x", 'bb'), true);
		same($m->append("{$P}x", 'c'), true); same($m->prepend("{$P}x", 'a'), true); same($m->get("{$P}x"), 'abbc');
	});
	check('cas', function () use ($m, $P) {
		$found = $m->get("{$P}x", null, Memcached::GET_EXTENDED);
		same($m->cas($found['cas'], "{$P}x", 'new'), true); same($m->cas($found['cas'], "{$P}x", 'newer'), false);
		same($m->getResultCode(), Memcached::RES_DATA_EXISTS);
	});
	check('counters', function () use ($m, $P, $how) {
		$m->set("{$P}n", 10); same($m->increment("{$P}n", 5), 15); same($m->decrement("{$P}n", 100), 0);
		if ($how === 'memcached-binary') same($m->increment("{$P}n2", 1, 42), 42);
	});
	check('setMulti getMulti', function () use ($m, $P) {
		$many = [];
		for ($i = 0; $i < 100; $i++) $many["{$P}m$i"] = "v$i";
		same($m->setMulti($many), true); same($m->getMulti(array_keys($many)), $many);
		same($m->getDelayed(array_keys($many), true), true); same(count($m->fetchAll()), 100);
	});
	check('touch', function () use ($m, $P) { same($m->touch("{$P}x", 100), true); same($m->get("{$P}x"), 'new'); });
	check('stats and version', function () use ($m) {
		same(count($m->getVersion()), 1);
		same(array_values($m->getStats())[0]['curr_items'] >= 1, true);
	});
	check('reconnect', function () use ($make, $P) {
		for ($i = 0; $i < 20; $i++) { $o = $make(); same($o->set("{$P}again", $i), true); $o->quit(); }
	});
}
exit($failed ? 1 : 0);
