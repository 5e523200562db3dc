// The cloud code that triggers.txt was recorded with.
const master = { useMasterKey: true };
const log = async (className, what) => { await new Parse.Object(className).save(what, master); }; // returns nothing: what afterSave returns is the answer

// what beforeSave may do
Parse.Cloud.beforeSave('Before', async req => {
  const o = req.object;
  switch (o.get('do')) {
    case 'throwText': throw 'text';
    case 'throwError': throw new Error('error');
    case 'throwParse': throw new Parse.Error(1001, 'coded');
    case 'throwObject': throw { a: 1 };
    case 'throwCode': throw Object.assign(new Error('own'), { code: 77 });
    case 'throwNothing': throw undefined;
    case 'reject': return Promise.reject('rejected');
    case 'set': o.set('s', 'set'); break;
    case 'setMany': o.set({ a: 1, b: 'two', c: [1], d: { e: 1 } }); break;
    case 'unset': o.unset('x'); break;
    case 'increment': o.increment('n'); break;
    case 'add': o.add('l', 2); break;
    case 'addUnique': o.addUnique('l', 1); break;
    case 'remove': o.remove('l', 1); break;
    case 'date': o.set('at', new Date(0)); break;
    case 'point': o.set('g', new Parse.GeoPoint(1, 2)); break;
    case 'null': o.set('x', null); break;
    case 'nested': o.set('m', { ...o.get('m'), more: 1 }); break;
    case 'pointer': { const other = new Parse.Object('Other'); await other.save({ a: 1 }, master); o.set('p', other); break; }
    case 'relation': { const other = new Parse.Object('Other'); await other.save({ a: 2 }, master); o.relation('r').add(other); break; }
    case 'acl': o.setACL(new Parse.ACL()); break;
    case 'revert': o.revert('x'); break;
    case 'type': o.set('n', 'text'); break;
    case 'badKey': o.set('other', { 'a.b': 1 }); break;
    case 'returns': return { object: { replaced: true } };
    case 'returnsObject': return o;
    case 'returnsText': return 'text';
    case 'dirty': o.set('dirty', [o.dirty('x'), o.dirty('n'), o.dirty('none'), o.isNew(), o.existed()]); break;
    case 'request': o.set('request', { keys: Object.keys(req).filter(k => req[k] !== undefined).sort(), trigger: req.triggerName, master: req.master, user: req.user ? req.user.get('username') : null, original: req.original ? req.original.get('x') : null, id: o.id ? o.id.length : null, created: o.createdAt instanceof Date }); break;
    case 'context': o.set('context', req.context); break;
  }
});

// what afterSave may do
Parse.Cloud.afterSave('Later', req => {
  switch (req.object.get('do')) {
    case 'throw': throw 'too late';
    case 'reject': return Promise.reject(new Parse.Error(5, 'too late'));
    case 'set': req.object.set('s', 'shown'); break;
    case 'unset': req.object.unset('x'); break;
    case 'plain': return { answer: 'plain' };
    case 'list': return [1, 2];
    case 'text': return 'text';
    case 'object': { const other = Parse.Object.fromJSON({ className: 'Later', objectId: req.object.id, x: 1 }); other.set('other', true); return other; }
    case 'same': return req.object;
    case 'existed': req.object.set('existed', req.object.existed()); break;
    case 'original': req.object.set('was', req.original ? req.original.get('x') : 'none'); break;
    case 'context': req.object.set('context', req.context); break;
  }
});
Parse.Cloud.beforeSave('Passed', req => { req.context.before = 1; req.object.set('b', (req.object.get('b') || 0) + 1); });
Parse.Cloud.afterSave('Passed', req => log('PassedLog', { context: req.context, b: req.object.get('b') }));
Parse.Cloud.afterSave('Replaced', req => new Parse.Object('ReplacedLog').save({ of: req.object.id.length }, master)); // answers with what it saved

// saves within saves
Parse.Cloud.beforeSave('Outer', async req => { const inner = new Parse.Object('Inner'); await inner.save({ from: 'outer', fail: req.object.get('fail') || false }, { ...master, context: { deep: 1 } }); req.object.set('inner', inner); });
Parse.Cloud.beforeSave('Inner', req => { if (req.object.get('fail')) throw 'inner fails'; req.object.set({ inner: true, context: req.context, master: req.master }); });
Parse.Cloud.afterSave('Chain', async req => { const n = req.object.get('n'); if (n > 0) await new Parse.Object('Chain').save({ n: n - 1 }, master); });

// deletes
Parse.Cloud.beforeDelete('Doomed', req => { const how = req.object.get('do'); if (how === 'text') throw 'kept'; if (how === 'parse') throw new Parse.Error(12, 'kept'); if (how === 'master' && !req.master) throw 'not master'; if (how === 'nothing') throw undefined; });
Parse.Cloud.afterDelete('Doomed', req => log('DoomedLog', { x: req.object.get('x') || 0, user: req.user ? req.user.get('username') : 'nobody', context: req.context || null }));
Parse.Cloud.beforeDelete('Family', async req => { await Parse.Object.destroyAll(await new Parse.Query('Member').equalTo('of', req.object.toPointer()).find(master), master); });

// finds
Parse.Cloud.beforeFind('Found', req => {
  const q = req.query;
  const how = (req.context && req.context.do) || '';
  switch (how) {
    case 'limit': q.limit(1); break;
    case 'skip': q.skip(1); break;
    case 'order': q.descending('n'); break;
    case 'where': q.greaterThan('n', 1); break;
    case 'select': q.select('n'); break;
    case 'exclude': q.exclude('m'); break;
    case 'include': q.include('other'); break;
    case 'withCount': q.withCount(); break;
    case 'or': return Parse.Query.or(new Parse.Query('Found').equalTo('n', 1), new Parse.Query('Found').equalTo('n', 3));
    case 'other': return new Parse.Query('Found').equalTo('n', 2);
    case 'none': return [];
    case 'objects': return [Parse.Object.fromJSON({ className: 'Found', objectId: 'abcdefghij', made: true })];
    case 'object': return Parse.Object.fromJSON({ className: 'Found', objectId: 'abcdefghij', one: true });
    case 'null': return null;
    case 'text': throw 'no';
    case 'parse': throw new Parse.Error(102, 'a bad query');
    case 'later': return Promise.resolve().then(() => { q.equalTo('n', 3); });
    case 'get': if (req.isGet) throw 'no get'; break;
    case 'count': if (req.count) throw 'no count'; break;
    case 'see': throw new Parse.Error(600, JSON.stringify([q.toJSON(), req.count || false, req.isGet || false, req.master, req.user ? req.user.get('username') : null]));
  }
});
Parse.Cloud.afterFind('Shown', req => {
  switch ((req.context && req.context.do) || '') {
    case 'set': req.objects.forEach(o => o.set('seen', true)); return req.objects;
    case 'change': req.objects.forEach(o => o.set('n', o.get('n') * 10)); break;
    case 'unset': req.objects.forEach(o => o.unset('n')); break;
    case 'filter': return req.objects.filter(o => o.get('n') > 1);
    case 'reverse': return req.objects.reverse();
    case 'none': return [];
    case 'new': return [new Parse.Object('Shown', { made: 1 })];
    case 'text': throw 'not shown';
    case 'parse': throw new Parse.Error(66, 'not shown');
    case 'later': return Promise.resolve(req.objects.slice(0, 1));
    case 'date': req.objects.forEach(o => o.set('at', new Date(0))); break;
    case 'count': req.objects.forEach(o => o.set('of', req.objects.length)); break;
    case 'get': req.objects.forEach(o => o.set('isGet', req.isGet || false)); break;
    case 'query': req.objects.forEach(o => o.set('query', req.query.toJSON())); break;
  }
});

// users
Parse.Cloud.beforeSave(Parse.User, req => { const name = req.object.get('username'); if (name === 'nobody') throw 'no such name'; if (name === 'coded') throw new Parse.Error(1300, 'not this name'); if (req.object.get('shout')) req.object.set('username', name.toUpperCase()); });
Parse.Cloud.afterSave(Parse.User, req => { if (!req.original) return log('SignUpLog', { who: req.object.get('username'), password: req.object.get('password') || 'none' }); });
Parse.Cloud.beforeDelete(Parse.User, req => { if (req.object.get('keep')) throw 'this user stays'; });
Parse.Cloud.beforeLogin(async req => { const o = req.object; if (o.get('banned') === 'text') throw 'banned'; if (o.get('banned') === 'error') throw new Error('banned too'); if (o.get('banned') === 'parse') throw new Parse.Error(1301, 'banned by code'); if (o.get('banned') === 'nothing') throw undefined; if (o.get('mark')) { o.set('marked', true); } });
Parse.Cloud.afterLogin(async req => { if (req.object.get('afterFails')) throw 'after the login'; await log('LoginLog', { who: req.object.get('username'), user: req.user ? req.user.id === req.object.id : null, token: typeof req.object.getSessionToken() }); });
Parse.Cloud.afterLogout(req => log('LogoutLog', { className: req.object.className, user: req.user ? req.user.get('username') || 'no name' : null }));
Parse.Cloud.beforePasswordResetRequest(req => { if (req.object.get('noReset')) throw new Parse.Error(1302, 'no reset'); });
Parse.Cloud.beforeSave('_Role', req => { if (req.object.get('name') === 'none') throw 'no such role'; });
Parse.Cloud.beforeSave('_Installation', req => { if (req.object.get('deviceType') === 'embedded') throw 'no embedded devices'; req.object.set('seen', true); });

// the config
Parse.Cloud.beforeSave(Parse.Config, req => { if (req.object.get('bad')) throw new Parse.Error(1303, 'not configured'); });
Parse.Cloud.afterSave(Parse.Config, req => log('ConfigLog', { a: req.object.get('a') || null, was: req.original ? String(req.original.get('a')) : 'none' }));

// validators
const none = () => {};
Parse.Cloud.beforeSave('VFields', none, { fields: { a: { required: true, type: String }, n: { type: Number, default: 5 }, c: { constant: true, default: 1 }, o: { options: ['x', 'y'], error: 'x or y' } } });
Parse.Cloud.beforeSave('VMaster', none, { requireMaster: true });
Parse.Cloud.beforeFind('VUser', none, { requireUser: true });
Parse.Cloud.afterFind('VAfter', none, { requireUser: true });
Parse.Cloud.beforeDelete('VRole', none, { requireAnyUserRoles: ['keepers'] });
Parse.Cloud.beforeSave('VFunction', none, req => { if (!req.object.get('a')) throw 'a is missing'; });
Parse.Cloud.afterSave('VSkip', req => { req.object.set('ran', true); }, { skipWithMasterKey: true });
Parse.Cloud.beforeSave('Limited', none, { rateLimit: { requestTimeWindow: 600000, requestCount: 2, errorResponseMessage: 'too many', includeInternalRequests: true } });
