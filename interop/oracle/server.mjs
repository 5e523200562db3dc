// Parse Server on a free port of the loopback interface. The first line on standard input is its options as JSON; the first
// line on standard output is the URL of its API. It ends when standard input does.
import http from 'node:http';
import readline from 'node:readline';
import express from 'express';
import parse from 'parse-server';

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const options = JSON.parse((await lines.next()).value);

const app = express();
const server = http.createServer(app);
await new Promise(resolve => server.listen(options.port ?? 0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${server.address().port}/parse`;

const api = new parse.ParseServer({ serverURL: url, ...options });
await api.start();
if (options.trustProxy) app.set('trust proxy', options.trustProxy); // of the application around Parse Server
app.use('/parse', api.app);
console.log(url);

await lines.next();
server.closeAllConnections();
await Promise.race([api.handleShutdown(), new Promise(resolve => setTimeout(resolve, 5000))]);
process.exit(0);
