// memjs (memcached's binary protocol): memjs.js HOST PORT [user:password]
'use strict';
const { load, version, SIZES, host, port, options, body, run, sleep, assert } = require('./checks');
const memjs = load('memjs');
const [username, password] = options[0] ? options[0].split(':') : [];
const make = () => memjs.Client.create(`${host}:${port}`, { username, password, timeout: 10, conntimeout: 5, retries: 1 });
const P = `memjs-${process.pid}-`;
const c = make();

run('memjs/binary', version('memjs'), [
	['set get delete', async () => {
		assert.equal(await c.set(P + 'a', 'one', {}), true);
		assert.equal(String((await c.get(P + 'a')).value), 'one');
		assert.equal(await c.delete(P + 'a'), true);
		assert.equal((await c.get(P + 'a')).value, null);
		assert.equal(await c.delete(P + 'a'), false);
	}],
	...SIZES.map((size) => [`value of ${size} B`, async () => {
		assert.equal(await c.set(P + 'l', body(size), {}), true);
		assert((await c.get(P + 'l')).value.equals(body(size)));
	}]),
	// Its prepend() sends the opcode of append, to memcached as well.
	['add replace append', async () => {
		assert.equal(await c.add(P + 'x', 'b', {}), true);
		assert.equal(await c.add(P + 'x', 'b', {}), false);
		assert.equal(await c.replace(P + 'x', 'bb', {}), true);
		assert.equal(await c.replace(P + 'none', 'bb', {}), false);
		assert.equal(await c.append(P + 'x', 'c'), true);
		assert.equal(String((await c.get(P + 'x')).value), 'bbc');
	}],
	['counters', async () => {
		assert.equal((await c.increment(P + 'n', 1, { initial: 5 })).value, 5);
		assert.equal((await c.increment(P + 'n', 2, { initial: 5 })).value, 7);
		assert.equal((await c.decrement(P + 'n', 100, { initial: 5 })).value, 0);
	}],
	['expiry and touch', async () => {
		await c.set(P + 'e', '1', { expires: 1 });
		assert.equal(await c.touch(P + 'e', 100), true);
		await sleep(2100);
		assert.equal(String((await c.get(P + 'e')).value), '1');
		await c.set(P + 'e', '1', { expires: 1 });
		await sleep(2100);
		assert.equal((await c.get(P + 'e')).value, null);
	}],
	['stats and version', async () => {
		const stats = await new Promise((done, fail) => c.stats((error, server, found) => (error ? fail(error) : done(found))));
		assert(Number(stats.curr_items) >= 1 && stats.version, JSON.stringify(stats).slice(0, 100));
	}],
	['three hundred in flight', async () => {
		const answers = await Promise.all(Array.from({ length: 300 }, async (_, i) => { await c.set(`${P}f${i}`, String(i), {}); return String((await c.get(`${P}f${i}`)).value); }));
		assert.deepEqual(answers, Array.from({ length: 300 }, (_, i) => String(i)));
	}],
	['two hundred connections', async () => {
		const many = Array.from({ length: 200 }, make);
		for (let round = 0; round < 5; round++) {
			const answers = await Promise.all(many.map(async (one, i) => { await one.set(`${P}c${i}`, `${i}-${round}`, {}); return String((await one.get(`${P}c${i}`)).value); }));
			assert.deepEqual(answers, many.map((_, i) => `${i}-${round}`));
		}
		many.forEach((one) => one.close());
	}],
	['reconnect', async () => {
		for (let i = 0; i < 10; i++) {
			const one = make();
			assert.equal(await one.set(P + 'again', String(i), {}), true);
			one.close();
		}
	}],
], async () => c.close());
