// node-redis: node_redis.js HOST PORT [RESP version: 2 or 3] [password=TEXT]
'use strict';
const { load, version, SIZES, host, port, options, body, run, sleep, rejects, assert } = require('./checks');
const redis = load('redis');
const RESP = Number(options[0] || 3);
const password = (options.find((o) => o.startsWith('password=')) || '').slice(9) || undefined;
const P = `node-redis-${RESP}-${process.pid}:`;
const make = () => redis.createClient({ socket: { host, port, connectTimeout: 5000 }, password, RESP })
	.on('error', (error) => console.log('# error event:', error.message));
const c = make();
const raw = c.withTypeMapping({ [redis.RESP_TYPES.BLOB_STRING]: Buffer });

run(`node-redis/RESP${RESP}`, version('redis'), [
	['connect', async () => { await c.connect(); assert.equal(await c.ping(), 'PONG'); }],
	['set get del', async () => {
		assert.equal(await c.set(P + 'a', '1'), 'OK');
		assert.equal(await c.get(P + 'a'), '1');
		assert.equal(await c.del([P + 'a', P + 'none']), 1);
		assert.equal(await c.get(P + 'a'), null);
	}],
	...SIZES.map((size) => [`value of ${size} B`, async () => {
		await c.set(P + 'l', body(size));
		assert((await raw.get(P + 'l')).equals(body(size)));
	}]),
	['keys of any bytes', async () => {
		const key = Buffer.concat([Buffer.from(P), Buffer.from(Array.from({ length: 256 }, (_, i) => i))]);
		await c.set(key, 'v');
		assert.equal(await c.get(key), 'v');
		assert.equal(await c.del(key), 1);
	}],
	['counters', async () => {
		assert.equal(await c.incr(P + 'n'), 1);
		assert.equal(await c.incrBy(P + 'n', 9), 10);
		assert.equal(await c.decrBy(P + 'n', 20), -10);
		assert.equal(Number(await c.incrByFloat(P + 'f', 1.5)), 1.5);
	}],
	['expiry', async () => {
		await c.set(P + 'e', '1', { PX: 50 });
		await sleep(80);
		assert.equal(await c.get(P + 'e'), null);
		await c.set(P + 'e', '1', { EX: 100, NX: true });
		assert((await c.ttl(P + 'e')) > 98);
		assert.equal(Number(await c.persist(P + 'e')), 1);
		assert.equal(await c.ttl(P + 'e'), -1);
		assert.equal(Number(await c.expire(P + 'e', 10)), 1);
	}],
	['mset mget', async () => {
		await c.mSet(Array.from({ length: 100 }, (_, i) => [`${P}m${i}`, String(i)]));
		assert.deepEqual(await c.mGet(Array.from({ length: 100 }, (_, i) => `${P}m${i}`)), Array.from({ length: 100 }, (_, i) => String(i)));
	}],
	['a thousand commands in flight', async () => {
		const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => c.incr(`${P}flight`)));
		assert.deepEqual(answers, Array.from({ length: 1000 }, (_, i) => i + 1));
	}],
	['multi exec', async () => {
		assert.deepEqual(await c.multi().set(`${P}{x}1`, '1').incr(`${P}{x}1`).get(`${P}{x}1`).exec(), ['OK', 2, '2']);
	}],
	['watch', async () => {
		const other = make();
		await other.connect();
		await other.watch(`${P}{x}1`);
		await c.set(`${P}{x}1`, 'changed');
		await assert.rejects(other.multi().set(`${P}{x}1`, 'mine').exec(), /watched/i);
		assert.equal(await c.get(`${P}{x}1`), 'changed');
		await other.close();
	}],
	['scan', async () => {
		const found = new Set();
		for await (const keys of c.scanIterator({ MATCH: P + 'm*', COUNT: 30 })) for (const key of keys) found.add(key);
		assert.equal(found.size, 100);
	}],
	['info and client', async () => {
		assert((await c.info()).includes('redis_version:'));
		assert((await c.clientId()) > 0);
		await c.clientSetName('checks');
		assert.equal(await c.clientGetName(), 'checks');
	}],
	['errors', async () => {
		await c.set(P + 'w', 'word');
		await rejects(c.incr(P + 'w'), 'not an integer');
		await rejects(c.sendCommand(['NOSUCH', 'x']), 'unknown command');
		assert.equal(await c.get(P + 'w'), 'word');
	}],
	['reconnect', async () => {
		for (let i = 0; i < 10; i++) {
			const one = make();
			await one.connect();
			assert.equal(await one.set(P + 'again', String(i)), 'OK');
			await one.close();
		}
	}],
	['two hundred connections', async () => {
		const many = Array.from({ length: 200 }, make);
		await Promise.all(many.map((one) => one.connect()));
		for (let round = 0; round < 5; round++) {
			const answers = await Promise.all(many.map(async (one, i) => { await one.set(`${P}c${i}`, `${i}-${round}`); return one.get(`${P}c${i}`); }));
			assert.deepEqual(answers, many.map((_, i) => `${i}-${round}`));
		}
		await Promise.all(many.map((one) => one.close()));
	}],
], () => c.close());
