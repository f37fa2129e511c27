// Cluster clients of Node.js: cluster_clients.js HOST PORT ioredis|iovalkey|redis
'use strict';
const { load, version, SIZES, host, port, options, body, run, assert } = require('./checks');
const name = options[0] || 'ioredis';
const P = `${name}-cluster-${process.pid}-`;
const COUNT = 400;
let c, raw, primaries;

function open() {
	if (name === 'redis') {
		const { createCluster, RESP_TYPES } = load('redis');
		c = createCluster({ rootNodes: [{ url: `redis://${host}:${port}` }], defaults: { socket: { connectTimeout: 5000 } } });
		c.on('error', (error) => console.log('# error event:', error.message));
		raw = c.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
		primaries = () => c.masters.map((node) => node.address);
		return c.connect();
	}
	c = new (load(name).Cluster)([{ host, port }], { redisOptions: { connectTimeout: 5000 } });
	c.on('error', (error) => console.log('# error event:', error.message));
	raw = { get: (key) => c.getBuffer(key) };
	primaries = () => c.nodes('master').map((node) => `${node.options.host}:${node.options.port}`);
	return new Promise((done) => c.once('ready', done));
}

run(`${name}/cluster`, version(name), [
	['connect', open],
	['keys of every node', async () => {
		await Promise.all(Array.from({ length: COUNT }, (_, i) => c.set(P + i, String(i))));
		assert.deepEqual(await Promise.all(Array.from({ length: COUNT }, (_, i) => c.get(P + i))), Array.from({ length: COUNT }, (_, i) => String(i)));
		assert.equal(new Set(primaries()).size, 3);
	}],
	...SIZES.map((size) => [`value of ${size} B`, async () => {
		await c.set(`${P}l${size}`, body(size));
		assert((await raw.get(`${P}l${size}`)).equals(body(size)));
	}]),
	['counters', async () => { assert.deepEqual(await Promise.all(Array.from({ length: 50 }, () => c.incr(P + 'n'))), Array.from({ length: 50 }, (_, i) => i + 1)); }],
	['multi exec in a slot', async () => {
		const answers = await c.multi().set(`{${P}}1`, '1').incr(`{${P}}1`).exec();
		assert.deepEqual(name === 'redis' ? answers : answers.map(([, x]) => x), ['OK', 2]);
	}],
	['delete', async () => { await Promise.all(Array.from({ length: COUNT }, (_, i) => c.del(P + i))); assert.equal(await c.get(P + 7), null); }],
], () => (name === 'redis' ? c.close() : c.quit()));
