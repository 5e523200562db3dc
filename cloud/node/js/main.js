'use strict';
// The beginning of a worker: load the SDK, put it where cloud code expects it, load the code, and serve what the server asks.
const fs = require('fs');
const path = require('path');
const util = require('util');
const { AsyncLocalStorage } = require('async_hooks');
const { createRequire } = require('module');
const { pathToFileURL } = require('url');

const wire = require('./wire');

const SOCKET = 3;
const TIMEOUT = 124;
const LONGEST_LINE = 16 * 1024;

// current is the call that the code which runs at the moment belongs to.
const current = new AsyncLocalStorage();
const calls = new Map();
const asks = new Map();
let lastAsk = 0;
let handlers;
let registry;
let Parse;

const socket = wire.open(SOCKET, receive, () => process.reallyExit(0)); // without the server there is nothing to do
const send = socket.send;

function receive(message) {
  switch (message.t) {
    case 'call':
      run(message);
      break;
    case 'answer':
      answered(message);
      break;
    case 'cancel': {
      const call = calls.get(message.id);
      if (call) {
        call.cancelled = true;
      }
      break;
    }
    case 'ping':
      send({ t: 'pong', id: message.id });
      break;
    case 'load':
      load(message).catch(thrown => failed('start', thrown));
      break;
    case 'bye':
      exit(0);
  }
}

// run runs one call. The server is told that it has begun: a call that has not is given to another worker when this one ends.
async function run(message) {
  const call = { id: message.id, what: message.what, cancelled: false, ended: false };
  calls.set(call.id, call);
  send({ t: 'begun', id: call.id });
  let reply;
  try {
    reply = await current.run(call, () => handlers.calls[message.call](message, call));
    reply = { t: 'result', id: call.id, ...reply };
  } catch (thrown) {
    reply = refusal(call, handlers.failure(thrown, 141, 'Script failed. Unknown error.'));
  }
  finish(call, reply);
}

function finish(call, reply) {
  if (call.ended) {
    return;
  }
  call.ended = true;
  calls.delete(call.id);
  try {
    send(reply);
  } catch (thrown) {
    send(refusal(call, new Parse.Error(141, `The result cannot be encoded: ${thrown.message}`)));
  }
}

function refusal(call, error) {
  const code = Number(error.code);
  let message = error.message === undefined ? 'Script failed.' : error.message;
  if (typeof message !== 'string') {
    try {
      message = JSON.parse(JSON.stringify(Parse._encode(message)));
    } catch {
      message = String(message);
    }
  }
  return { t: 'result', id: call.id, failed: true, code: Number.isInteger(code) ? code : 141, message, ...(error.status && { status: error.status }) };
}

// request is what the SDK asks of its server, with the rights that its options name and no others.
function request(method, asked, data, options) {
  const given = options || {};
  const call = current.getStore();
  if (call && call.cancelled) {
    return Promise.reject(new Parse.Error(TIMEOUT, 'The request that this code ran for was not completed in time.'));
  }
  return new Promise((resolve, reject) => {
    const id = ++lastAsk;
    const message = { t: 'ask', id, method, path: asked, body: data || {} };
    if (call) {
      message.call = call.id;
    }
    if (given.useMasterKey) {
      message.master = true;
    } else if (typeof given.sessionToken === 'string') {
      message.sessionToken = given.sessionToken;
    }
    if (given.installationId) {
      message.installationId = given.installationId;
    }
    if (given.context) {
      message.context = given.context;
    }
    asks.set(id, { resolve, reject, options: given, data });
    try {
      send(message);
    } catch (thrown) {
      asks.delete(id);
      reject(new Parse.Error(107, `The request cannot be sent: ${thrown.message}`));
    }
  });
}

function answered(message) {
  const ask = asks.get(message.id);
  if (!ask) {
    return;
  }
  asks.delete(message.id);
  const { status, body } = message;
  if (status >= 400) {
    ask.reject(new Parse.Error(body && body.code, body && (body.error || body.message)));
    return;
  }
  if (ask.options.returnStatus && body && typeof body === 'object') {
    if (Array.isArray(body)) {
      body.forEach((item, i) => {
        item._status = ask.data.requests[i].method === 'POST' ? 201 : 200;
      });
    } else {
      body._status = status;
      body._headers = message.headers || {};
    }
  }
  ask.resolve(body);
}

// failed tells the server why the code cannot run. There is nothing to serve then.
function failed(stage, thrown) {
  const stack = thrown && typeof thrown === 'object' && thrown.stack ? String(thrown.stack) : '';
  send({ t: 'failed', stage, message: String((thrown && thrown.message) || thrown), stack });
  setTimeout(() => exit(1), 100); // the message is on its way
}

function sdk(from) {
  try {
    return from('parse/node');
  } catch (thrown) {
    if (thrown.code !== 'MODULE_NOT_FOUND' || !String(thrown.message).includes("'parse/node'")) {
      throw thrown;
    }
  }
  try {
    return createRequire(from.resolve('parse-server/package.json'))('parse/node'); // where npm keeps it when versions differ
  } catch {
    return undefined;
  }
}

async function load(hello) {
  socket.limit(hello.limit);
  if (Number(process.versions.node.split('.')[0]) < hello.oldestNode) {
    failed('node', new Error(process.version));
    return;
  }
  const here = createRequire(path.join(process.cwd(), 'package.json'));
  let main;
  try {
    main = fs.realpathSync(here.resolve(hello.main));
  } catch {
    failed('main', new Error(hello.main));
    return;
  }
  const found = sdk(createRequire(main));
  if (!found) {
    failed('sdk', new Error(path.dirname(main)));
    return;
  }
  Parse = found.default || found;
  prepare(hello);
  process.argv[1] = main;
  let late = false;
  let told = false;
  registry = require('./registry').create(Parse, () => {
    if (late && !told) {
      told = true;
      setImmediate(() => {
        told = false;
        send({ t: 'registered', list: registry.list() });
      });
    }
  }, text => send({ t: 'odd', text }));
  const requests = require('./requests').create(Parse, { applicationId: hello.appId, serverURL: hello.serverURL }, logger());
  handlers = require('./handlers').create(Parse, registry, requests);
  require('./more').add(Parse, registry, requests, handlers, request);
  try {
    await import(pathToFileURL(main).href);
  } catch (thrown) {
    failed('code', thrown);
    return;
  }
  late = true;
  send({ t: 'ready', node: process.version, sdk: Parse.CoreManager.get('VERSION'), main, list: registry.list() });
}

// prepare makes the SDK ask this server through the socket.
function prepare(hello) {
  Parse.initialize(hello.appId, 'unused');
  Parse.serverURL = hello.serverURL;
  Parse.Object.disableSingleInstance();
  const real = Parse.CoreManager.getRESTController();
  Parse.CoreManager.setRESTController({ request, ajax: real.ajax, handleError: real.handleError });
  let key;
  let warned = false;
  Object.defineProperty(Parse, 'masterKey', {
    configurable: true,
    enumerable: true,
    set: value => { key = value; },
    get: () => {
      if (key === undefined && !warned) {
        warned = true;
        console.warn('Parse.masterKey is not handed to cloud code: ask with {useMasterKey: true} instead.');
      }
      return key;
    },
  });
  globalThis.Parse = Parse;
}

const levels = { error: 'error', warn: 'warn', info: 'info', log: 'info', verbose: 'debug', debug: 'debug', silly: 'debug', trace: 'debug' };

function write(level, args) {
  let text = util.format(...args);
  if (text.length > LONGEST_LINE) {
    text = `${text.slice(0, LONGEST_LINE)}… (${text.length} characters)`;
  }
  const call = current.getStore();
  send({ t: 'log', level, text, ...(call && { what: call.what }) });
}

// logger is request.log.
function logger() {
  const log = { log: (level, ...args) => write(levels[level] || 'info', args) };
  for (const name of ['error', 'warn', 'info', 'verbose', 'debug', 'silly']) {
    log[name] = (...args) => write(levels[name], args);
  }
  return log;
}

for (const name of ['error', 'warn', 'info', 'log', 'debug', 'trace']) {
  console[name] = (...args) => write(levels[name], args);
}

const exit = process.exit.bind(process);
process.exit = code => {
  const call = current.getStore();
  send({ t: 'exit', code: code === undefined ? process.exitCode || 0 : code, ...(call && { what: call.what }) });
  exit(code);
};

// blame fails the call that something belongs to which nobody waits for.
function blame(what, thrown, call) {
  const text = thrown && typeof thrown === 'object' && thrown.stack ? thrown.stack : String(thrown);
  send({ t: 'log', level: 'error', text: `${what}: ${text}`.slice(0, LONGEST_LINE), ...(call && { what: call.what }) });
  if (call && !call.ended) {
    finish(call, refusal(call, handlers.failure(thrown, 141, 'Script failed. Unknown error.')));
  }
}

process.on('unhandledRejection', (thrown, promise) => {
  // Node up to 22 keeps the store of a promise in the promise, later ones have it in the event.
  const kept = current.kResourceStore && promise[current.kResourceStore];
  blame('unhandled rejection', thrown, kept || current.getStore());
});
process.on('uncaughtException', thrown => blame('uncaught exception', thrown, current.getStore()));
