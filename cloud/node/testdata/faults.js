// What can go wrong in cloud code.
let state = 0;
const forever = () => { for (;;) {} };
const wait = ms => new Promise(resolve => setTimeout(resolve, ms));

Parse.Cloud.define('ok', () => 'ok');
Parse.Cloud.define('state', () => ++state);
Parse.Cloud.define('throw', () => { throw new Error('thrown'); });
Parse.Cloud.define('object', () => { throw { a: 1 }; });
Parse.Cloud.define('reject', () => Promise.reject(new Parse.Error(777, 'rejected')));
Parse.Cloud.define('nothing', () => Promise.reject());
Parse.Cloud.define('loop', forever);
Parse.Cloud.define('lateLoop', async () => { await wait(1); forever(); });
Parse.Cloud.define('slow', () => wait(60_000));
Parse.Cloud.define('exit', () => process.exit(3));
Parse.Cloud.define('abort', () => process.abort());
Parse.Cloud.define('kill', () => process.kill(process.pid, 'SIGKILL'));
Parse.Cloud.define('allocate', () => { const kept = []; for (let i = 0; i < 128; i++) { kept.push(new Array(1 << 20).fill(Math.random())); } return kept.length; }); // 1 GiB
Parse.Cloud.define('unhandled', async () => { Promise.reject(new Error('nobody waits')); await wait(60_000); });
Parse.Cloud.define('timer', async () => { setTimeout(() => { throw new Error('in a timer'); }, 1); await wait(60_000); });
Parse.Cloud.define('circular', () => { const a = {}; a.a = a; return a; });
Parse.Cloud.define('bigint', () => 1n);
Parse.Cloud.define('deep', () => { let a = 1; for (let i = 0; i < 700; i++) { a = [a]; } return a; });
Parse.Cloud.define('huge', () => 'x'.repeat(70 << 20));
Parse.Cloud.define('chatty', () => { for (let i = 0; i < 20_000; i++) { console.log('line', i); } console.error('e'.repeat(1 << 20)); return 'said'; });
Parse.Cloud.define('forever', async () => { for (;;) { await Parse.Cloud.run('anything'); } });
Parse.Cloud.define('asks', async request => {
  const query = new Parse.Query('Thing');
  const public_ = await query.count();
  const master = await query.count({ useMasterKey: true });
  const user = await query.count({ sessionToken: request.user.getSessionToken() });
  return { public: public_, master, user, key: Parse.masterKey === undefined };
});
Parse.Cloud.define('null', () => null);
Parse.Cloud.define('log', request => { request.log.info('from the log'); console.warn('from the console'); });
Parse.Cloud.define('env', () => process.env.PARLEY_TEST_MARK);
Parse.Cloud.define('buffers', () => { const kept = []; for (let i = 0; i < 64; i++) { kept.push(Buffer.alloc(32 << 20, 1)); } return kept.length; }); // 2 GiB beside the heap
Parse.Cloud.define('unsaved', () => new Parse.Object('Thing', { a: 1 }));
Parse.Cloud.define('brief', async () => { await wait(20); return 'brief'; });

// The socket is within the reach of the code.
const frame = text => { const b = Buffer.from(text); const head = Buffer.alloc(4); head.writeUInt32BE(b.length); return Buffer.concat([head, b]); };
const say = text => require('fs').writeSync(3, frame(text));
Parse.Cloud.define('giant', async () => { require('fs').writeSync(3, Buffer.alloc(4, 255)); await wait(60_000); });
Parse.Cloud.define('closes', async () => { require('fs').closeSync(3); await wait(60_000); });
Parse.Cloud.define('garbage', async () => {
  for (const text of [
    '', '{', 'null', '5', '[]', '"t"', '{}', '{"t":5}', '{"t":"nothing"}', '{"t":"ready"}', '{"t":"ready"}', '{"t":"failed"}', '{"t":"result"}', '{"t":"result","id":-1}',
    '{"t":"result","id":1e300,"failed":true}', '{"t":"result","id":"x"}', '{"t":"begun","id":999999}', '{"t":"pong","id":1}', '{"t":"pong","id":1}', '{"t":"ask"}',
    '{"t":"ask","id":7,"call":999999,"method":"GET","path":"/classes/A","body":[]}', '{"t":"ask","id":7,"method":"TELL","path":"message","body":{"text":5}}',
    '{"t":"log"}', '{"t":"odd"}', `{"t":"result","id":1${'0'.repeat(400)}}`,
  ]) {
    say(text);
  }
  await wait(50);
  return 'said';
});

Parse.Cloud.define('form', ({ params: { file, bytes, deep } }) =>
  [file.filename, file.contentType, Buffer.isBuffer(file.data) && file.data.toString(), bytes.__type, deep.file.data.__type].join(' '));
