// The cloud code that cloud.txt was recorded with; cloud_test.go holds the same in Go.
Parse.Cloud.define('hello', req => ({ hi: req.params.name || 'x', master: req.master, ctx: req.context }));
Parse.Cloud.define('fail', () => { throw new Parse.Error(1234, 'custom'); });
Parse.Cloud.define('failstr', () => { throw 'plain'; });
Parse.Cloud.define('failerr', () => { throw new Error('err'); });
Parse.Cloud.define('nothing', () => {});
Parse.Cloud.define('values', () => ({ d: new Date(0), g: new Parse.GeoPoint(1, 2), list: [1, 'a', null, true], n: 1.5, p: Parse.Object.fromJSON({ className: 'Thing', objectId: 'abcdefghij' }).toPointer() }));
Parse.Cloud.define('express', (req, res) => res.status(202).header('x-a', 'b').success({ a: 1 }));
Parse.Cloud.define('echo', req => req.params);
Parse.Cloud.define('who', req => ({ user: req.user ? req.user.get('username') : null, installation: req.installationId || null, readOnly: req.isReadOnly, name: req.functionName }));
Parse.Cloud.define('count', async req => new Parse.Query('Secret').equalTo('a', 1).count(req.params.master ? { useMasterKey: true } : { sessionToken: req.user ? req.user.getSessionToken() : undefined }));

const yes = () => 'ok';
Parse.Cloud.define('vUser', yes, { requireUser: true });
Parse.Cloud.define('vMaster', yes, { requireMaster: true });
Parse.Cloud.define('vBoth', yes, { requireUser: true, validateMasterKey: true });
Parse.Cloud.define('vAny', yes, { requireAnyUserRoles: ['a', 'b'] });
Parse.Cloud.define('vAll', yes, { requireAllUserRoles: ['a', 'b'] });
Parse.Cloud.define('vKeys', yes, { requireUserKeys: ['phone'] });
Parse.Cloud.define('vKeyOptions', yes, { requireUserKeys: { phone: { options: ['1', '2'], error: 'wrong phone' } }, requireUser: true });
Parse.Cloud.define('vList', req => req.params, { fields: ['a', 'b'] });
Parse.Cloud.define('vFields', req => req.params, { fields: {
  a: { type: String, required: true },
  n: { type: Number, default: 5 },
  o: { type: String, options: ['x', 'y'] },
  l: { type: Array },
  m: { type: Object },
  f: { type: Boolean },
  c: { options: v => v > 2, error: 'too small' },
  e: { options: v => v > 2 },
  t: { options: () => { throw new Error('thrown') } },
} });
Parse.Cloud.define('vFunction', yes, req => { if (!req.params.a) { throw 'no a'; } });
Parse.Cloud.define('vError', yes, () => { throw new Parse.Error(77, 'own code'); });

Parse.Cloud.beforeSave('Trig', req => {
  const o = req.object;
  if (o.get('bad')) { throw 'nope'; }
  if (o.get('badcode')) { throw new Parse.Error(123, 'coded'); }
  if (o.get('empty')) { throw undefined; }
  if (o.get('how') === 'add') { o.set('added', 'by-before'); }
  if (o.get('how') === 'same') { o.set('x', o.get('x')); }
  if (o.get('how') === 'change') { o.set('x', 99); }
  if (o.get('how') === 'unset') { o.unset('x'); }
  if (o.get('how') === 'increment') { o.increment('n', 10); }
  if (o.get('how') === 'acl') { const acl = new Parse.ACL(); acl.setPublicReadAccess(true); o.setACL(acl); }
  if (o.get('how') === 'pointer') { o.set('p', Parse.Object.fromJSON({ className: 'Plain', objectId: 'abcdefghij' })); }
  if (o.get('how') === 'date') { o.set('at', new Date(0)); }
  if (o.get('how') === 'look') { o.set('seen', { keys: o.dirtyKeys().filter(k => k !== 'seen').sort(), n: o.get('n'), x: o.get('x'), was: req.original ? req.original.get('x') : null, isNew: o.isNew(), master: req.master }); }
  if (o.get('how') === 'ctx') { o.set('ctx', req.context); }
});
Parse.Cloud.afterSave('After', req => {
  if (req.object.get('bad')) { throw 'too late'; }
  if (req.object.get('extra')) { req.object.set('late', 'yes'); }
});
Parse.Cloud.beforeSave('Both', req => { req.object.set('b', 1); req.context.from = 'before'; });
Parse.Cloud.afterSave('Both', async req => { const log = new Parse.Object('BothLog'); await log.save({ ctx: req.context, was: req.original ? req.original.get('a') : null, b: req.object.get('b') }, { useMasterKey: true }); });
Parse.Cloud.beforeDelete('Del', req => { if (req.object.get('keep')) { throw 'kept'; } });
Parse.Cloud.afterDelete('Del', async req => { if (req.object.get('bad')) { throw 'gone anyway'; } await new Parse.Object('DelLog').save({ a: req.object.get('a') }, { useMasterKey: true }); });
Parse.Cloud.beforeFind('BF', req => { req.query.equalTo('public', true); req.query.limit(2); });
Parse.Cloud.beforeFind('BFNo', () => { throw 'not this'; });
Parse.Cloud.beforeFind('BFObjects', async req => [Parse.Object.fromJSON({ className: 'BFObjects', x: 'made' })]);
Parse.Cloud.afterFind('AF', req => { for (const o of req.objects) { o.set('af', req.objects.length); } return req.objects.filter(o => !o.get('hide')); });
Parse.Cloud.afterFind('AFNo', () => { throw new Parse.Error(55, 'not shown'); });

Parse.Cloud.beforeSave('VSave', () => {}, { requireUser: true, fields: { c: { constant: true, default: 'k' }, a: { required: true, type: String }, d: { default: 'dd' } } });
Parse.Cloud.beforeSave('Skip', req => { req.object.set('ran', true); }, { skipWithMasterKey: true });
Parse.Cloud.beforeDelete('VSave', () => {}, { requireMaster: true });
Parse.Cloud.beforeFind('VFind', () => {}, { requireUser: true });

Parse.Cloud.beforeSave(Parse.User, req => { if (req.object.get('username') === 'blocked') { throw 'no such name'; } if (!req.original) { req.object.set('greeting', 'hi'); } });
Parse.Cloud.beforeLogin(req => { if (req.object.get('banned')) { throw new Parse.Error(999, 'banned'); } });
Parse.Cloud.afterLogin(async req => { await new Parse.Object('LoginLog').save({ who: req.object.get('username'), user: req.user ? req.user.id === req.object.id : null }, { useMasterKey: true }); });
Parse.Cloud.afterLogout(async req => { await new Parse.Object('LogoutLog').save({ hasUser: !!req.object.get('user'), user: !!req.user }, { useMasterKey: true }); });
