// What the Node.js clients share; what they say is told in checks.py.
'use strict';
const path = require('path');
const assert = require('assert');

// Where scripts/deps puts what package-lock.json names.
const modules = path.join(__dirname, '../../build/clients/node_modules');
const load = (name) => require(path.join(modules, name));
const version = (name) => load(name + '/package.json').version;

const SIZES = [0, 1, 100, 1400, 1461, 16384, 65536, 300000, 1 << 20];
const [host, portText, ...options] = process.argv.slice(2);
const port = Number(portText);

function body(size, seed = 1) {
	const bytes = Buffer.alloc(size);
	for (let i = 0; i < size; i++) bytes[i] = (i * 7 + seed * 13 + ((i / 251) | 0)) & 255;
	bytes.write('\r\nEND\r\n\0$-1\r\n'.slice(0, size));
	return bytes;
}

function within(ms, promise, what) {
	let timer;
	const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(what + ': no answer')), ms); });
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// run([['name', async () => {...}], ...], close): each check in turn, whatever the one before did.
async function run(client, clientVersion, checks, close = async () => {}) {
	let failed = 0;
	console.log('client', client, clientVersion);
	for (const [name, check] of checks) {
		const begin = process.hrtime.bigint();
		try {
			await within(20000, check(), name);
			console.log(`ok ${name} (${(Number(process.hrtime.bigint() - begin) / 1e9).toFixed(2)} s)`);
		} catch (error) {
			failed++;
			const line = (String(error.stack).match(/\((?:.*\/)?(\w+\.js:\d+)/) || [])[1];
			console.log(`not ok ${name}: ${line}: ${String(error.message || error).replace(/\s+/g, ' ').slice(0, 300)}`);
		}
	}
	try {
		await within(3000, close(), 'close');
	} catch (error) {
		failed++;
		console.log('not ok close:', error.message);
	}
	process.exit(failed ? 1 : 0);
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// The error that a promise must end with, whose text holds `text`.
async function rejects(promise, text) {
	let answer;
	try {
		answer = await promise;
	} catch (error) {
		assert(String(error.message).toLowerCase().includes(text.toLowerCase()), `said "${error.message}" instead of "${text}"`);
		return error;
	}
	throw new Error(`no error but ${JSON.stringify(answer)}`);
}

process.on('unhandledRejection', (error) => { console.log('not ok (unhandled):', error && error.message); process.exit(1); });

module.exports = { load, version, SIZES, host, port, options, body, run, sleep, rejects, assert };
