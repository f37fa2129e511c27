// memcached, the package of that name (text protocol): memcached_npm.js HOST PORT
'use strict';
const { load, version, SIZES, host, port, body, run, sleep, assert } = require('./checks');
const Memcached = load('memcached');
const P = `npm-${process.pid}-`;
const make = (more = {}) => new Memcached(`${host}:${port}`, { timeout: 10000, retries: 1, maxValue: 1 << 21, ...more });
const c = make();
const call = (one, method, ...args) => new Promise((done, fail) => one[method](...args, (error, data) => (error ? fail(error) : done(data))));
const ask = (method, ...args) => call(c, method, ...args);

run('memcached (npm)', version('memcached'), [
	['set get del', async () => {
		assert.equal(await ask('set', P + 'a', 'one', 100), true);
		assert.equal(await ask('get', P + 'a'), 'one');
		assert.equal(await ask('del', P + 'a'), true);
		assert.equal(await ask('get', P + 'a'), undefined);
	}],
	...SIZES.filter((size) => size > 0).map((size) => [`value of ${size} B`, async () => {
		// This client counts characters in what it has received, so its large values are of one byte each.
		const value = Buffer.from(Array.from(body(size), (x) => 32 + (x % 95)));
		assert.equal(await ask('set', P + 'l', value.toString('latin1'), 100), true);
		assert.equal(await ask('get', P + 'l'), value.toString('latin1'));
	}]),
	['add replace append prepend', async () => {
		assert.equal(await ask('add', P + 'x', 'b', 100), true);
		await assert.rejects(ask('add', P + 'x', 'b', 100));
		assert.equal(await ask('replace', P + 'x', 'bb', 100), true);
		assert.equal(await ask('append', P + 'x', 'c'), true);
		assert.equal(await ask('prepend', P + 'x', 'a'), true);
		assert.equal(await ask('get', P + 'x'), 'abbc');
	}],
	['gets and cas', async () => {
		const { cas } = await ask('gets', P + 'x');
		assert.equal(await ask('cas', P + 'x', 'new', cas, 100), true);
		assert.equal(await ask('cas', P + 'x', 'newer', cas, 100), false);
		assert.equal(await ask('get', P + 'x'), 'new');
	}],
	['counters', async () => {
		await ask('set', P + 'n', 10, 100);
		assert.equal(await ask('incr', P + 'n', 5), 15);
		assert.equal(await ask('decr', P + 'n', 100), 0);
		assert.equal(await ask('incr', P + 'none', 1), false);
	}],
	['touch and expiry', async () => {
		await ask('set', P + 'e', '1', 1);
		assert.equal(await ask('touch', P + 'e', 100), true);
		await ask('set', P + 'f', '1', 1);
		await sleep(2100);
		assert.equal(await ask('get', P + 'e'), '1');
		assert.equal(await ask('get', P + 'f'), undefined);
	}],
	['getMulti of 100', async () => {
		await Promise.all(Array.from({ length: 100 }, (_, i) => ask('set', `${P}m${i}`, String(i), 100)));
		const found = await ask('getMulti', Array.from({ length: 120 }, (_, i) => `${P}m${i}`));
		assert.equal(Object.keys(found).length, 100);
		assert.equal(found[P + 'm42'], '42');
	}],
	['stats settings items version', async () => {
		const [stats] = await ask('stats');
		assert(stats.curr_items >= 1 && stats.version, JSON.stringify(stats).slice(0, 100));
		assert((await ask('settings')).length === 1);
		await ask('version');
	}],
	['two hundred connections', async () => {
		const many = make({ poolSize: 200 });
		for (let round = 0; round < 5; round++) {
			const answers = await Promise.all(Array.from({ length: 200 }, async (_, i) => { await call(many, 'set', `${P}c${i}`, `${i}-${round}`, 100); return call(many, 'get', `${P}c${i}`); }));
			assert.deepEqual(answers, Array.from({ length: 200 }, (_, i) => `${i}-${round}`));
		}
		many.end();
	}],
], async () => c.end());
