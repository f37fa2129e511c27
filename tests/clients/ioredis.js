// ioredis and iovalkey, which have one interface: ioredis.js HOST PORT [ioredis|iovalkey] [password=TEXT]
'use strict';
const { load, version, SIZES, host, port, options, body, run, sleep, rejects, assert } = require('./checks');
const name = options[0] || 'ioredis';
const password = (options.find((o) => o.startsWith('password=')) || '').slice(9) || undefined;
const Redis = load(name).Redis;
const P = `${name}-${process.pid}:`;
const make = (more = {}) => new Redis({ host, port, password, connectTimeout: 5000, maxRetriesPerRequest: 3, ...more })
	.on('error', (error) => console.log('# error event:', error.message));
const c = make();

run(name, version(name), [
	['set get del', async () => {
		assert.equal(await c.set(P + 'a', '1'), 'OK');
		assert.equal(await c.get(P + 'a'), '1');
		assert.equal(await c.del(P + 'a', P + 'none'), 1);
		assert.equal(await c.get(P + 'a'), null);
	}],
	...SIZES.map((size) => [`value of ${size} B`, async () => {
		await c.set(P + 'l', body(size));
		assert((await c.getBuffer(P + 'l')).equals(body(size)));
	}]),
	['keys of any bytes', async () => {
		const key = Buffer.concat([Buffer.from(P), Buffer.from(Array.from({ length: 256 }, (_, i) => i))]);
		await c.set(key, 'v');
		assert.equal(await c.get(key), 'v');
		assert.equal(await c.unlink(key), 1);
	}],
	['counters', async () => {
		assert.equal(await c.incr(P + 'n'), 1);
		assert.equal(await c.decrby(P + 'n', 11), -10);
		assert.equal(await c.append(P + 's', 'hello'), 5);
		assert.equal(await c.getrange(P + 's', 1, 3), 'ell');
	}],
	['expiry', async () => {
		await c.set(P + 'e', '1', 'PX', 50);
		await sleep(80);
		assert.equal(await c.get(P + 'e'), null);
		assert.equal(await c.set(P + 'e', '1', 'EX', 100, 'NX'), 'OK');
		assert.equal(await c.set(P + 'e', '1', 'EX', 100, 'NX'), null);
		assert((await c.ttl(P + 'e')) > 98);
	}],
	['mset mget', async () => {
		await c.mset(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`${P}m${i}`, i])));
		assert.deepEqual(await c.mget(Array.from({ length: 100 }, (_, i) => `${P}m${i}`)), Array.from({ length: 100 }, (_, i) => String(i)));
	}],
	['pipeline of 1000', async () => {
		const p = c.pipeline();
		for (let i = 0; i < 500; i++) p.set(`${P}p${i % 50}`, i).get(`${P}p${i % 50}`);
		const answers = await p.exec();
		assert.deepEqual(answers.filter((_, i) => i % 2).map(([error, text]) => error || text), Array.from({ length: 500 }, (_, i) => String(i)));
	}],
	['pipelines made by the client itself', async () => {
		const auto = make({ enableAutoPipelining: true });
		const answers = await Promise.all(Array.from({ length: 300 }, () => auto.incr(P + 'auto')));
		assert.deepEqual(answers, Array.from({ length: 300 }, (_, i) => i + 1));
		auto.disconnect();
	}],
	['multi exec', async () => {
		const answers = await c.multi().set(`${P}{x}1`, '1').incr(`${P}{x}1`).get(`${P}{x}1`).exec();
		assert.deepEqual(answers, [[null, 'OK'], [null, 2], [null, '2']]);
	}],
	['watch', async () => {
		const other = make();
		await other.watch(`${P}{x}1`);
		await c.set(`${P}{x}1`, 'changed');
		assert.equal(await other.multi().set(`${P}{x}1`, 'mine').exec(), null);
		await other.quit();
	}],
	['lock: compare and delete', async () => {
		const script = 'if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end';
		await c.set(P + 'lock', 'me', 'PX', 10000, 'NX');
		assert.equal(await c.eval(script, 1, P + 'lock', 'you'), 0);
		assert.equal(await c.eval(script, 1, P + 'lock', 'me'), 1);
	}],
	['scan stream', async () => {
		const found = new Set();
		for await (const keys of c.scanStream({ match: P + 'm*', count: 30 })) for (const key of keys) found.add(key);
		assert.equal(found.size, 100);
	}],
	['errors', async () => {
		await c.set(P + 'w', 'word');
		await rejects(c.incr(P + 'w'), 'not an integer');
		await rejects(c.call('NOSUCH', 'x'), 'unknown command');
		assert.equal(await c.get(P + 'w'), 'word');
	}],
	['reconnect by itself', async () => {
		for (let i = 0; i < 5; i++) {
			c.disconnect(true);
			assert.equal(await c.set(P + 'again', String(i)), 'OK');
		}
	}],
	['two hundred connections', async () => {
		const many = Array.from({ length: 200 }, () => make());
		for (let round = 0; round < 5; round++) {
			const answers = await Promise.all(many.map(async (one, i) => { await one.set(`${P}c${i}`, `${i}-${round}`); return one.get(`${P}c${i}`); }));
			assert.deepEqual(answers, many.map((_, i) => `${i}-${round}`));
		}
		await Promise.all(many.map((one) => one.quit()));
	}],
], () => c.quit());
