// Parse Server on PostgreSQL, for the benchmark: node server.js HOST PORT DATABASE-URI. parse-server and express are found by NODE_PATH.
const { ParseServer } = require('parse-server');
const express = require('express');

const [host, port, databaseURI] = process.argv.slice(2);
const everybody = ['0.0.0.0/0', '::/0'];

(async () => {
  const server = new ParseServer({
    databaseURI,
    appId: 'bench',
    masterKey: process.env.BENCH_MASTER_KEY,
    masterKeyIps: everybody,
    serverURL: `http://${host}:${port}/parse`,
    cloud: process.env.BENCH_CLOUD,
    logsFolder: null,
    silent: true,
    logLevel: 'error',
  });
  await server.start();
  const app = express();
  app.use('/parse', server.app);
  const listener = app.listen(Number(port), host);
  process.on('SIGTERM', () => {
    listener.closeAllConnections();
    process.exit(0);
  });
})().catch(error => {
  console.error(error);
  process.exit(1);
});
