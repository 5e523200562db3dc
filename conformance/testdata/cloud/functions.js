// The cloud code that functions.txt was recorded with.
const define = (name, handler, validator) => Parse.Cloud.define(name, handler, validator);

// what functions return
const results = {
  number: () => 1.5, zero: () => 0, text: () => 'text', empty: () => '', yes: () => true, no: () => false, nil: () => null,
  list: () => [], map: () => ({}), date: () => new Date(86400000), nan: () => NaN, infinite: () => Infinity,
  undefinedMember: () => ({ a: undefined, b: 1 }), sparse: () => [1, undefined, 3],
  point: () => new Parse.GeoPoint(1, 2), polygon: () => new Parse.Polygon([[0, 0], [0, 1], [1, 1]]), acl: () => new Parse.ACL(),
  nested: () => ({ a: [{ d: new Date(0), g: new Parse.GeoPoint(3, 4) }] }), promise: () => Promise.resolve('later'),
  relation: () => Parse.Object.fromJSON({ className: 'Some', objectId: 'abcdefghij' }).relation('r'),
  pointer: () => Parse.Object.fromJSON({ className: 'Some', objectId: 'abcdefghij' }).toPointer(),
  object: () => Parse.Object.fromJSON({ className: 'Some', objectId: 'abcdefghij', a: 1, at: { __type: 'Date', iso: '2026-01-01T00:00:00.000Z' } }),
  query: () => new Parse.Query('Some').equalTo('a', 1).toJSON(), op: () => ({ __op: 'Increment', amount: 1 }), file: () => Parse.File.fromJSON({ __type: 'File', name: 'a.txt', url: 'http://files.test/a.txt' }),
};
define('result', req => results[req.params.of]());

// what they throw
class Own extends Error {}
const thrown = {
  text: () => 'text', emptyText: () => '', nothing: () => undefined, nil: () => null, number: () => 42, zero: () => 0, yes: () => true,
  error: () => new Error('an error'), emptyError: () => new Error(''), own: () => new Own('of a class'), type: () => new TypeError('a type'),
  parse: () => new Parse.Error(1001, 'with a code'), parseZero: () => new Parse.Error(0, 'code zero'), parseNegative: () => new Parse.Error(-5, 'below zero'),
  parseNothing: () => new Parse.Error(), parseNoMessage: () => new Parse.Error(7), parseObject: () => new Parse.Error(8, { a: 1 }), notFound: () => new Parse.Error(101, 'not found'),
  session: () => new Parse.Error(209, 'a session'), internal: () => new Parse.Error(1, 'internal'), textCode: () => Object.assign(new Error('coded'), { code: 'EOWN' }), numberCode: () => Object.assign(new Error('coded'), { code: 55 }),
  object: () => ({ a: 1 }), withMessage: () => ({ message: 'in an object', code: 99 }), list: () => [1, 2],
};
define('throws', req => { throw thrown[req.params.what](); });
define('rejects', req => Promise.reject(thrown[req.params.what]()));

// what they are given
define('typeOf', req => Object.fromEntries(Object.entries(req.params).map(([name, v]) => [name, v === null ? 'null' : (v.constructor && v.constructor.name) + (v.className ? ' ' + v.className : '')])));
define('params', req => req.params);
define('request', req => ({
  keys: Object.keys(req).filter(key => req[key] !== undefined).sort(), functionName: req.functionName, master: req.master, readOnly: req.isReadOnly, context: req.context, user: req.user ? req.user.get('username') : null,
  token: req.user ? req.user.getSessionToken().slice(0, 2) : null, installation: req.installationId || null, header: (req.headers || {})['x-own'] || null, appId: req.config.applicationId, log: typeof req.log.info, ip: typeof req.ip,
}));
define('context', req => { req.context.more = 1; return req.context; });

// answers through the second argument
define('express', (req, res) => {
  switch (req.params.how) {
    case 'success': return res.success({ at: new Date(0) });
    case 'nothing': return res.success();
    case 'status': return res.status(201).success('made');
    case 'teapot': return res.status(418).error('a teapot');
    case 'error': return res.error('refused');
    case 'parseError': return res.error(new Parse.Error(300, 'coded'));
    case 'returns': return 'returned';
    case 'headers': return void res.header('x-one', '1').header('x-two', 'two').success(1);
    case 'throws': throw new Error('thrown');
    case 'throwsWithStatus': res.status(409); throw new Parse.Error(300, 'conflict');
    case 'later': return void setTimeout(() => res.success('later'), 5);
  }
});

// validators
const ok = () => 'ok';
define('vTypes', req => req.params, { fields: {
  text: { type: String }, number: { type: Number }, flag: { type: Boolean }, list: { type: Array }, map: { type: Object }, date: { type: Date },
} });
define('vRequired', ok, { fields: { a: { required: true, error: 'a is wanted' }, b: { required: true } } });
define('vDefault', req => req.params, { fields: { text: { default: 'd' }, zero: { default: 0 }, list: { default: [1] }, map: { default: { a: 1 } } } });
define('vConstant', req => req.params, { fields: { c: { constant: true, default: 'k' } } });
define('vOptions', ok, { fields: { one: { options: 'only' }, some: { options: [1, 2, 'x'] }, check: { options: v => v > 10 }, later: { options: async v => v > 10, error: 'too low' } } });
define('vNames', ok, ({ params }) => { if (params.fail === 'text') throw 'by text'; if (params.fail === 'nothing') throw undefined; if (params.fail === 'error') throw new Error('by error'); if (params.fail === 'later') return Promise.reject('later'); });
define('vRolesFunction', ok, { requireAnyUserRoles: () => ['admins'] });
define('vRolesLater', ok, { requireAllUserRoles: async () => ['admins'] });
define('vUserKeys', ok, { requireUserKeys: { age: { type: Number }, plan: { options: ['free', 'paid'] }, level: { options: v => v > 1, error: 'level up' } } });
define('vUserKeyList', ok, { requireUser: true, requireUserKeys: ['age', 'plan'] });
define('vSkip', ok, { requireMaster: true, skipWithMasterKey: true });
define('vMasterFields', ok, { validateMasterKey: true, fields: ['a'] });
define('vEverything', ok, { requireUser: true, validateMasterKey: true, requireAnyUserRoles: ['admins'], fields: { a: { type: Number, required: true } } });

// limits
define('limited', ok, { rateLimit: { requestTimeWindow: 600000, requestCount: 2, errorResponseMessage: 'slow down', includeInternalRequests: true } });
define('limitedButMaster', ok, { rateLimit: { requestTimeWindow: 600000, requestCount: 1 } });

// the SDK in cloud code
const master = { useMasterKey: true };
const sdk = {
  save: async () => { const o = new Parse.Object('Made'); await o.save({ a: 1, at: new Date(0) }, master); return { id: o.id.length, isNew: o.isNew(), a: o.get('a'), created: o.createdAt instanceof Date }; },
  saveAll: async () => { const list = [1, 2, 3].map(n => new Parse.Object('Many', { n })); await Parse.Object.saveAll(list, master); return new Parse.Query('Many').greaterThan('n', 0).count(master); },
  find: async () => (await new Parse.Query('Many').descending('n').find(master)).map(o => o.get('n')),
  first: async () => (await new Parse.Query('Many').ascending('n').first(master)).get('n'),
  none: async () => (await new Parse.Query('Many').equalTo('n', 99).first(master)) === undefined,
  getMissing: () => new Parse.Query('Many').get('nonesuchxx', master),
  or: () => Parse.Query.or(new Parse.Query('Many').equalTo('n', 1), new Parse.Query('Many').equalTo('n', 3)).count(master),
  each: async () => { const seen = []; await new Parse.Query('Many').each(o => { seen.push(o.get('n')); }, master); return seen.sort(); },
  distinct: async () => (await new Parse.Query('Many').distinct('n', master)).sort(),
  aggregate: async () => new Parse.Query('Many').aggregate([{ $group: { _id: null, total: { $sum: '$n' } } }], master),
  increment: async () => { const o = await new Parse.Query('Many').equalTo('n', 1).first(master); o.increment('n', 10); await o.save(null, master); const n = o.get('n'); o.set('n', 1); await o.save(null, master); return n; },
  array: async () => { const o = new Parse.Object('Lists', { l: [1] }); await o.save(null, master); o.addUnique('l', 2); await o.save(null, master); o.remove('l', 1); await o.save(null, master); return o.get('l'); },
  nested: async () => { const child = new Parse.Object('Child', { c: 1 }); const o = new Parse.Object('Parent', { child }); await o.save(null, master); const back = await new Parse.Query('Parent').include('child').get(o.id, master); return { c: back.get('child').get('c'), pointer: back.get('child').id === child.id }; },
  relation: async () => { const one = new Parse.Object('Child', { c: 2 }); await one.save(null, master); const o = new Parse.Object('Parent'); o.relation('all').add(one); await o.save(null, master); return (await o.relation('all').query().find(master)).map(r => r.get('c')); },
  destroy: async () => { const o = new Parse.Object('Gone'); await o.save(null, master); await o.destroy(master); return (await new Parse.Query('Gone').find(master)).length; },
  destroyAll: async () => { await Parse.Object.destroyAll(await new Parse.Query('Many').find(master), master); return (await new Parse.Query('Many').find(master)).length; },
  fetch: async () => { const o = new Parse.Object('Made', { a: 5 }); await o.save(null, master); return (await Parse.Object.fromJSON({ className: 'Made', objectId: o.id }).fetch(master)).get('a'); },
  withoutRights: () => new Parse.Query('_Session').find(),
  forbidden: async () => { const o = new Parse.Object('Private'); o.setACL(new Parse.ACL()); await o.save(null, master); const found = new Parse.Query('Private'); return [(await found.find(master)).length, (await found.find()).length]; },
  user: async () => { const u = new Parse.User(); await u.save({ username: 'made by code', password: 'p' }, master); return (await new Parse.Query(Parse.User).equalTo('username', 'made by code').first(master)).id === u.id; },
  logIn: async () => { const u = await Parse.User.logIn('made by code', 'p'); return u.getSessionToken().slice(0, 2); },
  wrongPassword: () => Parse.User.logIn('made by code', 'q'),
  become: async req => (await Parse.User.become(req.user.getSessionToken())).get('username'),
  role: async req => { const acl = new Parse.ACL(); const role = new Parse.Role('admins', acl); role.getUsers().add(req.user); await role.save(null, master); return role.getName(); },
  asCaller: async req => (await new Parse.Query('_Session').find({ sessionToken: req.user.getSessionToken() })).length > 0,
  config: async () => { await Parse.Config.save({ a: 1, hidden: 2 }, { hidden: true }); const open = await Parse.Config.get(); const all = await Parse.Config.get(master); return [open.get('a'), open.get('hidden') === undefined, all.get('hidden')]; },
  run: () => Parse.Cloud.run('result', { of: 'text' }),
  runMaster: () => Parse.Cloud.run('request', {}, master).then(r => r.master),
  runContext: () => Parse.Cloud.run('context', {}, { context: { a: 1 } }),
  runFails: () => Parse.Cloud.run('throws', { what: 'parse' }),
  runUnknown: () => Parse.Cloud.run('nonesuch'),
  caught: async () => { try { await Parse.Cloud.run('throws', { what: 'parse' }); } catch (error) { return [error instanceof Parse.Error, error.code, error.message]; } },
  badField: () => new Parse.Object('Made').save({ a: 'text' }, master),
  duplicate: () => new Parse.User().save({ username: 'made by code', password: 'x' }, master),
  schema: async () => { const s = new Parse.Schema('Declared'); s.addString('s'); await s.save(); return Object.keys((await new Parse.Schema('Declared').get()).fields).sort(); },
  geo: async () => { await Parse.Object.saveAll([[0, 0], [10, 10]].map(([x, y]) => new Parse.Object('Place', { at: new Parse.GeoPoint(x, y) })), master); return (await new Parse.Query('Place').near('at', new Parse.GeoPoint(9, 9)).find(master)).map(o => o.get('at').latitude); },
  matches: () => new Parse.Query('Made').matches('s', /^x/i).count(master),
  inQuery: () => new Parse.Query('Parent').matchesQuery('child', new Parse.Query('Child').equalTo('c', 1)).count(master),
};
define('sdk', req => sdk[req.params.do](req));
