// The official Parse JavaScript SDK, unmodified, against a running Parley: what an application does, written as its author
// would write it. Run by sdk_test.go, which starts the server and says where it is.
import { test, before, describe } from 'node:test';
import assert from 'node:assert/strict';
import Parse from 'parse/node';

const { PARLEY_TEST_URL, PARLEY_TEST_APP_ID, PARLEY_TEST_MASTER_KEY } = process.env;

before(() => {
  Parse.initialize(PARLEY_TEST_APP_ID, undefined, PARLEY_TEST_MASTER_KEY);
  Parse.serverURL = PARLEY_TEST_URL;
});

const master = { useMasterKey: true };

async function refused(promise, code) {
  await assert.rejects(promise, error => {
    assert.equal(error.code, code, `${error.code} ${error.message}`);
    return true;
  });
}

const names = objects => objects.map(o => o.get('name'));

describe('the server', () => {
  test('is healthy', async () => {
    assert.equal(await Parse.getServerHealth().then(h => h.status), 'ok');
  });
});

describe('objects', () => {
  const Everything = Parse.Object.extend('Everything');

  test('every type survives a round trip', async () => {
    const target = await new Parse.Object('Target').save({ v: 1 });
    const o = new Everything();
    o.set('string', 'héllo 🦜 "quoted" \\ \u2028');
    o.set('number', 0.1 + 0.2);
    o.set('big', 9007199254740991);
    o.set('tiny', 5e-324);
    o.set('huge', 1e21);
    o.set('yes', true);
    o.set('when', new Date('2026-01-02T03:04:05.678Z'));
    o.set('list', [1, 'two', null, { three: 3 }, [4]]);
    o.set('map', { a: { b: { c: [1, 2, 3] } }, 'spaced key': 1 });
    o.set('nothing', null);
    o.set('place', new Parse.GeoPoint(52.52, 13.405));
    o.set('area', new Parse.Polygon([[0, 0], [0, 1], [1, 1], [1, 0]]));
    o.set('target', target);
    assert.equal(o.isNew(), true);
    assert.equal(o.dirty('string'), true);
    await o.save();
    assert.equal(o.isNew(), false);
    assert.match(o.id, /^[A-Za-z0-9]{10}$/);
    assert.ok(o.createdAt instanceof Date);
    assert.deepEqual(o.createdAt, o.updatedAt);

    const read = await new Parse.Query(Everything).get(o.id);
    assert.equal(read.get('string'), 'héllo 🦜 "quoted" \\ \u2028');
    assert.equal(read.get('number'), 0.30000000000000004);
    assert.equal(read.get('big'), 9007199254740991);
    assert.equal(read.get('tiny'), 5e-324);
    assert.equal(read.get('huge'), 1e21);
    assert.equal(read.get('yes'), true);
    assert.deepEqual(read.get('when'), new Date('2026-01-02T03:04:05.678Z'));
    assert.deepEqual(read.get('list'), [1, 'two', null, { three: 3 }, [4]]);
    assert.deepEqual(read.get('map'), { a: { b: { c: [1, 2, 3] } }, 'spaced key': 1 });
    assert.equal(read.get('nothing'), null);
    assert.equal(read.has('nothing'), false);
    assert.equal(read.get('place').latitude, 52.52);
    assert.equal(read.get('area').containsPoint(new Parse.GeoPoint(0.5, 0.5)), true);
    assert.equal(read.get('area').equals(new Parse.Polygon([[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]])), true); // closed by the server
    assert.equal(read.get('target').id, target.id);
    assert.equal(read.get('target').isDataAvailable(), false);
    await read.get('target').fetch();
    assert.equal(read.get('target').get('v'), 1);
    assert.equal(read.equals(o), true);
  });

  test('unset, revert, increment, decrement', async () => {
    const o = await new Everything().save({ n: 5, gone: 'x' });
    o.set('n', 99);
    o.revert('n');
    assert.equal(o.get('n'), 5);
    o.increment('n', 2);
    await o.save();
    assert.equal(o.get('n'), 7);
    o.decrement('n', 4);
    o.unset('gone');
    await o.save();
    const read = await o.fetch();
    assert.equal(read.get('n'), 3);
    assert.equal(read.has('gone'), false);
    const twin = Everything.createWithoutData(o.id);
    twin.increment('n');
    await twin.save();
    assert.equal(twin.get('n'), 4);
  });

  test('add, addAll, addUnique, addAllUnique, remove, removeAll keep their order', async () => {
    const o = await new Everything().save({ tags: ['a', 'b'] });
    o.add('tags', 'c');
    await o.save();
    o.addAll('tags', ['d', 'a']);
    await o.save();
    assert.deepEqual(o.get('tags'), ['a', 'b', 'c', 'd', 'a']);
    o.addUnique('tags', 'b');
    await o.save();
    o.addAllUnique('tags', ['b', 'e']);
    await o.save();
    assert.deepEqual((await o.fetch()).get('tags'), ['a', 'b', 'c', 'd', 'a', 'e']);
    o.remove('tags', 'a');
    await o.save();
    o.removeAll('tags', ['c', 'e']);
    await o.save();
    assert.deepEqual((await o.fetch()).get('tags'), ['b', 'd']);
  });

  test('nested members by dotted keys', async () => {
    const o = await new Everything().save({ profile: { age: 1, city: 'Ulm' } });
    o.set('profile.age', 2);
    o.increment('profile.visits', 3);
    await o.save();
    const read = await new Parse.Query(Everything).get(o.id);
    assert.deepEqual(read.get('profile'), { age: 2, city: 'Ulm', visits: 3 });
  });

  test('saveAll, fetchAll, destroyAll, clone, exists, destroy', async () => {
    const list = [1, 2, 3].map(n => new Everything({ n, batch: 'b1' }));
    await Parse.Object.saveAll(list);
    assert.equal(new Set(list.map(o => o.id)).size, 3);
    const shells = list.map(o => Everything.createWithoutData(o.id));
    await Parse.Object.fetchAll(shells);
    assert.deepEqual(shells.map(o => o.get('n')), [1, 2, 3]);
    await Parse.Object.fetchAllIfNeeded(shells);
    const copy = list[0].clone();
    await copy.save();
    assert.notEqual(copy.id, list[0].id);
    assert.equal(await list[0].exists(), true);
    await list[0].destroy();
    assert.equal(await list[0].exists(), false);
    await Parse.Object.destroyAll([list[1], list[2]]);
    assert.equal(await new Parse.Query(Everything).equalTo('batch', 'b1').count(), 1);
    await refused(new Parse.Query(Everything).get(list[0].id), Parse.Error.OBJECT_NOT_FOUND);
  });

  test('a save of an object with unsaved children saves all of them', async () => {
    const parent = new Parse.Object('Parent', { name: 'p' });
    parent.set('child', new Parse.Object('Child', { name: 'c' }));
    parent.set('children', [new Parse.Object('Child', { name: 'c1' }), new Parse.Object('Child', { name: 'c2' })]);
    await parent.save(null, { cascadeSave: true });
    const read = await new Parse.Query('Parent').include('child', 'children').get(parent.id);
    assert.equal(read.get('child').get('name'), 'c');
    assert.deepEqual(names(read.get('children')), ['c1', 'c2']);
    await parent.get('child').fetchWithInclude([]);
  });

  test('in a transaction all or none are saved', async () => {
    const a = new Parse.Object('Tx', { n: 1 });
    const b = new Parse.Object('Tx', { n: 2 });
    await Parse.Object.saveAll([a, b], { transaction: true });
    assert.equal(await new Parse.Query('Tx').count(), 2);
    const good = new Parse.Object('Tx', { n: 3 });
    const bad = new Parse.Object('Tx', { n: 'three' });
    await assert.rejects(Parse.Object.saveAll([good, bad], { transaction: true }), errors => {
      // The SDK gives each object of a refused transaction the error of the whole.
      assert.deepEqual(errors.map(e => e.message), Array(2).fill('schema mismatch for Tx.n; expected Number but got String'));
      return true;
    });
    assert.equal(await new Parse.Query('Tx').count(), 2);
  });

  test('errors have the code that the SDK knows', async () => {
    await new Parse.Object('Typed').save({ n: 1 });
    await refused(new Parse.Object('Typed').save({ n: 'one' }), Parse.Error.INCORRECT_TYPE);
    await refused(Parse.Object.createWithoutData.call(Everything, 'nosuchid00').fetch(), Parse.Error.OBJECT_NOT_FOUND);
    const stale = Everything.createWithoutData('nosuchid00');
    await refused(stale.save({ n: 1 }), Parse.Error.OBJECT_NOT_FOUND);
  });

  test('binary data as Bytes', async () => {
    const o = await new Everything().save({ data: { __type: 'Bytes', base64: 'AAECAw==' } });
    const read = await new Parse.Query(Everything).get(o.id);
    assert.deepEqual(read.toJSON().data, { __type: 'Bytes', base64: 'AAECAw==' });
  });
});

describe('queries', () => {
  const City = Parse.Object.extend('City');
  before(async () => {
    const country = await new Parse.Object('Country').save({ name: 'Germany', code: 'de' });
    const other = await new Parse.Object('Country').save({ name: 'France', code: 'fr' });
    await Parse.Object.saveAll([
      new City({ name: 'Berlin', size: 3700, tags: ['capital', 'east'], country, at: new Parse.GeoPoint(52.52, 13.405), founded: new Date('1237-01-01'), mayor: { name: 'K', since: 2023 } }),
      new City({ name: 'Munich', size: 1500, tags: ['south', 'beer'], country, at: new Parse.GeoPoint(48.137, 11.575), founded: new Date('1158-06-14') }),
      new City({ name: 'Hamburg', size: 1900, tags: ['north', 'port'], country, at: new Parse.GeoPoint(53.55, 9.993), founded: new Date('0808-01-01') }),
      new City({ name: 'Paris', size: 2100, tags: ['capital'], country: other, at: new Parse.GeoPoint(48.857, 2.352) }),
      new City({ name: 'Ulm', size: 126, tags: [], country, at: new Parse.GeoPoint(48.4, 9.98), note: 'In Ulm und um Ulm und um Ulm herum' }),
    ]);
  });
  const q = () => new Parse.Query(City).ascending('name');
  const found = async query => names(await query.find());

  test('comparison', async () => {
    assert.deepEqual(await found(q().equalTo('name', 'Ulm')), ['Ulm']);
    assert.deepEqual(await found(q().notEqualTo('name', 'Ulm')), ['Berlin', 'Hamburg', 'Munich', 'Paris']);
    assert.deepEqual(await found(q().greaterThan('size', 1900)), ['Berlin', 'Paris']);
    assert.deepEqual(await found(q().greaterThanOrEqualTo('size', 1900)), ['Berlin', 'Hamburg', 'Paris']);
    assert.deepEqual(await found(q().lessThan('size', 1500)), ['Ulm']);
    assert.deepEqual(await found(q().lessThanOrEqualTo('size', 1500)), ['Munich', 'Ulm']);
    assert.deepEqual(await found(q().lessThan('founded', new Date('1000-01-01'))), ['Hamburg']);
  });

  test('sets, arrays and existence', async () => {
    assert.deepEqual(await found(q().containedIn('name', ['Ulm', 'Paris', 'Rome'])), ['Paris', 'Ulm']);
    assert.deepEqual(await found(q().notContainedIn('name', ['Ulm', 'Paris'])), ['Berlin', 'Hamburg', 'Munich']);
    assert.deepEqual(await found(q().equalTo('tags', 'capital')), ['Berlin', 'Paris']);
    assert.deepEqual(await found(q().containsAll('tags', ['capital', 'east'])), ['Berlin']);
    assert.deepEqual(await found(q().containsAllStartingWith('tags', ['cap', 'ea'])), ['Berlin']);
    assert.deepEqual(await found(q().containedBy('tags', ['capital', 'north', 'port'])), ['Hamburg', 'Paris', 'Ulm']);
    assert.deepEqual(await found(q().exists('founded')), ['Berlin', 'Hamburg', 'Munich']);
    assert.deepEqual(await found(q().doesNotExist('founded')), ['Paris', 'Ulm']);
    assert.deepEqual(await found(q().equalTo('mayor.since', 2023)), ['Berlin']);
  });

  test('text', async () => {
    assert.deepEqual(await found(q().startsWith('name', 'H')), ['Hamburg']);
    assert.deepEqual(await found(q().endsWith('name', 's')), ['Paris']);
    assert.deepEqual(await found(q().contains('name', 'er')), ['Berlin']);
    assert.deepEqual(await found(q().matches('name', /^m/i)), ['Munich']);
    assert.deepEqual(await found(q().fullText('note', 'herum')), ['Ulm']);
    const ranked = await new Parse.Query(City).fullText('note', 'ulm').ascending('$score').select('$score').find();
    assert.equal(ranked.length, 1);
  });

  test('geography', async () => {
    const munich = new Parse.GeoPoint(48.137, 11.575);
    assert.deepEqual(names(await new Parse.Query(City).near('at', munich).limit(3).find()), ['Munich', 'Ulm', 'Berlin']);
    assert.deepEqual(names(await new Parse.Query(City).withinKilometers('at', munich, 130).find()), ['Munich', 'Ulm']);
    assert.deepEqual(names(await new Parse.Query(City).withinMiles('at', munich, 81).find()), ['Munich', 'Ulm']);
    assert.deepEqual(names(await new Parse.Query(City).withinRadians('at', munich, 130 / 6371).find()), ['Munich', 'Ulm']);
    assert.deepEqual(await found(q().withinKilometers('at', munich, 130, false)), ['Munich', 'Ulm']);
    assert.deepEqual(await found(q().withinGeoBox('at', new Parse.GeoPoint(48, 9), new Parse.GeoPoint(49, 12))), ['Munich', 'Ulm']);
    assert.deepEqual(await found(q().withinPolygon('at', [[50, 9], [55, 9], [55, 14], [50, 14]].map(p => new Parse.GeoPoint(p)))), ['Berlin', 'Hamburg']);
    const area = await new Parse.Object('Area').save({ shape: new Parse.Polygon([[48, 9], [48, 12], [49, 12], [49, 9]]) });
    const around = await new Parse.Query('Area').polygonContains('shape', munich).find();
    assert.deepEqual(around.map(a => a.id), [area.id]);
  });

  test('or, and, nor', async () => {
    const small = new Parse.Query(City).lessThan('size', 200);
    const capital = new Parse.Query(City).equalTo('tags', 'capital');
    assert.deepEqual(await found(Parse.Query.or(small, capital).ascending('name')), ['Berlin', 'Paris', 'Ulm']);
    assert.deepEqual(await found(Parse.Query.and(capital, new Parse.Query(City).greaterThan('size', 3000))), ['Berlin']);
    assert.deepEqual(await found(Parse.Query.nor(small, capital).ascending('name')), ['Hamburg', 'Munich']);
  });

  test('sub-queries', async () => {
    const germany = new Parse.Query('Country').equalTo('code', 'de');
    assert.deepEqual(await found(q().matchesQuery('country', germany)), ['Berlin', 'Hamburg', 'Munich', 'Ulm']);
    assert.deepEqual(await found(q().doesNotMatchQuery('country', germany)), ['Paris']);
    const wanted = await new Parse.Object('Wanted').save({ city: 'Paris' });
    assert.deepEqual(await found(q().matchesKeyInQuery('name', 'city', new Parse.Query('Wanted'))), ['Paris']);
    assert.deepEqual(await found(q().doesNotMatchKeyInQuery('name', 'city', new Parse.Query('Wanted'))), ['Berlin', 'Hamburg', 'Munich', 'Ulm']);
    await wanted.destroy();
  });

  test('order, paging, count, projection', async () => {
    assert.deepEqual(await found(new Parse.Query(City).descending('size').limit(2)), ['Berlin', 'Paris']);
    assert.deepEqual(await found(q().skip(1).limit(2)), ['Hamburg', 'Munich']);
    assert.deepEqual(await found(new Parse.Query(City).addDescending('country').addAscending('name').limit(0)), []);
    assert.equal(await q().count(), 5);
    const page = await q().withCount().limit(1).find();
    assert.deepEqual([page.count, names(page.results)], [5, ['Berlin']]);
    const first = await q().select('name').first();
    assert.deepEqual(Object.keys(first.toJSON()).sort(), ['createdAt', 'name', 'objectId', 'updatedAt']);
    assert.equal((await q().exclude('name').first()).get('name'), undefined);
    assert.equal((await q().first()).get('size'), 3700);
    assert.equal(await q().equalTo('name', 'Atlantis').first(), undefined);
  });

  test('include', async () => {
    const berlin = await q().include('country').first();
    assert.equal(berlin.get('country').get('name'), 'Germany');
    assert.equal((await q().includeAll().first()).get('country').get('code'), 'de');
    const plain = await q().first();
    assert.equal(plain.get('country').isDataAvailable(), false);
  });

  test('each, eachBatch, map, reduce, filter, findAll, fromJSON', async () => {
    const seen = [];
    await new Parse.Query(City).each(city => { seen.push(city.get('name')); });
    assert.equal(seen.length, 5);
    let batches = 0;
    await new Parse.Query(City).eachBatch(() => { batches++; }, { batchSize: 2 });
    assert.equal(batches, 3);
    assert.equal((await new Parse.Query(City).map(c => c.get('size'))).length, 5);
    assert.equal(await new Parse.Query(City).reduce((sum, c) => sum + c.get('size'), 0), 9326);
    assert.equal((await new Parse.Query(City).filter(c => c.get('size') > 2000)).length, 2);
    assert.equal((await new Parse.Query(City).findAll()).length, 5);
    const again = Parse.Query.fromJSON('City', q().equalTo('name', 'Ulm').toJSON());
    assert.deepEqual(await found(again), ['Ulm']);
  });

  test('aggregate and distinct', async () => {
    const tags = await new Parse.Query(City).distinct('country.name').catch(() => null);
    assert.notEqual(tags, undefined);
    assert.deepEqual((await new Parse.Query(City).distinct('name')).sort(), ['Berlin', 'Hamburg', 'Munich', 'Paris', 'Ulm']);
    const [total] = await new Parse.Query(City).aggregate([{ $group: { _id: null, total: { $sum: '$size' }, n: { $sum: 1 } } }]);
    assert.deepEqual([total.total, total.n], [9326, 5]);
    const big = await new Parse.Query(City).aggregate([{ $match: { size: { $gt: 1800 } } }, { $sort: { size: -1 } }, { $limit: 2 }, { $project: { name: 1 } }]);
    assert.deepEqual(big.map(b => b.name), ['Berlin', 'Paris']);
  });

  test('explain needs the master key', async () => {
    await refused(new Parse.Query(City).explain().find(), Parse.Error.INVALID_QUERY);
    assert.ok(await new Parse.Query(City).explain().find(master));
  });

  test('what cannot be asked is an error', async () => {
    await refused(new Parse.Query(City)._addCondition('size', '$nonsense', 1).find(), Parse.Error.INVALID_JSON);
  });
});

describe('relations', () => {
  test('add, remove, query both ways', async () => {
    const [a, b, c] = await Parse.Object.saveAll(['a', 'b', 'c'].map(name => new Parse.Object('Song', { name })));
    const list = new Parse.Object('Playlist');
    const songs = list.relation('songs');
    songs.add(a);
    songs.add([b, c]);
    await list.save();
    assert.deepEqual(names(await songs.query().ascending('name').find()), ['a', 'b', 'c']);
    songs.remove(b);
    await list.save();
    const read = await new Parse.Query('Playlist').get(list.id);
    assert.deepEqual(names(await read.relation('songs').query().ascending('name').find()), ['a', 'c']);
    const holders = await new Parse.Query('Playlist').equalTo('songs', c).find();
    assert.deepEqual(holders.map(h => h.id), [list.id]);
    assert.equal(await new Parse.Query('Playlist').equalTo('songs', b).count(), 0);
  });
});

describe('users, sessions, roles and ACLs', () => {
  let serial = 0;
  const unique = name => `${name}-${process.pid}-${++serial}`;
  const signUp = async name => {
    const user = new Parse.User();
    user.set('username', unique(name));
    user.set('password', 'correct horse');
    await user.signUp();
    return user;
  };

  test('sign up, log out, log in, become, me', async () => {
    const user = new Parse.User();
    const username = unique('ann');
    user.setUsername(username);
    user.setPassword('secret-1');
    user.setEmail(`${username}@example.com`);
    user.set('shoe', 42);
    await user.signUp();
    assert.match(user.getSessionToken(), /^r:[0-9a-f]{32}$/);
    const sessionToken = user.getSessionToken();

    const me = await Parse.User.me(sessionToken);
    assert.equal(me.getUsername(), username);
    assert.equal(me.getEmail(), `${username}@example.com`);
    const again = await Parse.User.logIn(username, 'secret-1');
    assert.equal(again.get('shoe'), 42);
    assert.equal(again.get('password'), undefined);
    await refused(Parse.User.logIn(username, 'wrong'), Parse.Error.OBJECT_NOT_FOUND);
    await refused(Parse.User.signUp(username, 'x'), Parse.Error.USERNAME_TAKEN);
    await refused(Parse.User.signUp(unique('bob'), 'x', { email: `${username}@example.com` }), Parse.Error.EMAIL_TAKEN);
    await refused(Parse.User.signUp(unique('bob'), 'x', { email: 'nonsense' }), Parse.Error.INVALID_EMAIL_ADDRESS);
    const verified = await Parse.User.verifyPassword(username, 'secret-1');
    assert.equal(verified.objectId ?? verified.id, user.id);
    await refused(Parse.User.verifyPassword(username, 'nope'), Parse.Error.OBJECT_NOT_FOUND);
  });

  test('an application with a current user: become, current, query, log out', async () => {
    const user = await signUp('cur');
    Parse.User.enableUnsafeCurrentUser();
    try {
      const become = await Parse.User.become(user.getSessionToken());
      assert.equal(become.id, user.id);
      assert.equal(become.authenticated(), true);
      assert.equal(become.isCurrent(), true);
      assert.equal((await Parse.User.currentAsync()).id, user.id);
      assert.equal((await Parse.Session.current()).get('user').id, user.id);
      const mine = new Parse.Object('Diary', { name: 'mine' });
      mine.setACL(new Parse.ACL(Parse.User.current()));
      await mine.save();
      assert.deepEqual(names(await new Parse.Query('Diary').find()), ['mine']);
      await Parse.User.logOut();
      assert.equal(Parse.User.current(), null);
      assert.deepEqual(await new Parse.Query('Diary').find(), []);
    } finally {
      Parse.User.disableUnsafeCurrentUser();
    }
    await refused(Parse.User.me(user.getSessionToken()), Parse.Error.INVALID_SESSION_TOKEN);
  });

  test('loginAs with the master key', async () => {
    const user = await signUp('eve');
    const same = await Parse.User.loginAs(user.id);
    assert.equal(same.id, user.id);
    assert.notEqual(same.getSessionToken(), user.getSessionToken());
  });

  test('a changed password ends the other sessions', async () => {
    const user = await signUp('pat');
    const old = user.getSessionToken();
    user.set('password', 'another horse');
    await user.save(null, { sessionToken: old });
    assert.notEqual(user.getSessionToken(), old);
    await refused(Parse.User.me(old), Parse.Error.INVALID_SESSION_TOKEN);
    const back = await Parse.User.logIn(user.getUsername(), 'another horse');
    assert.equal(back.id, user.id);
  });

  test('nobody else reads or changes a user', async () => {
    const [ann, bob] = [await signUp('ann'), await signUp('bob')];
    await refused(new Parse.Query(Parse.User).get(ann.id, { sessionToken: bob.getSessionToken() }), Parse.Error.OBJECT_NOT_FOUND);
    const copy = Parse.User.createWithoutData(ann.id);
    await refused(copy.save({ shoe: 1 }, { sessionToken: bob.getSessionToken() }), Parse.Error.SESSION_MISSING);
    await ann.save({ shoe: 43 }, { sessionToken: ann.getSessionToken() });
    assert.equal((await new Parse.Query(Parse.User).get(ann.id, master)).get('shoe'), 43);
    await ann.destroy({ sessionToken: ann.getSessionToken() });
    await refused(Parse.User.logIn(ann.getUsername(), 'correct horse'), Parse.Error.OBJECT_NOT_FOUND);
  });

  test('anonymous users become real ones', async () => {
    const anonymous = await Parse.AnonymousUtils.logIn();
    assert.equal(Parse.AnonymousUtils.isLinked(anonymous), true);
    const sessionToken = anonymous.getSessionToken();
    const data = anonymous.get('authData').anonymous;
    const again = await Parse.User.logInWith('anonymous', { authData: data });
    assert.equal(again.id, anonymous.id);
    again.setUsername(unique('real'));
    again.setPassword('no longer anonymous');
    await again.save(null, { sessionToken: again.getSessionToken() ?? sessionToken });
    const real = await Parse.User.logIn(again.getUsername(), 'no longer anonymous');
    assert.equal(real.id, anonymous.id);
    assert.equal(real._isLinked('anonymous'), false);
  });

  test('linking and unlinking authData', async () => {
    const user = await signUp('lin');
    const options = { sessionToken: user.getSessionToken() };
    await user.linkWith('anonymous', { authData: { id: unique('device') } }, options);
    assert.equal(user._isLinked('anonymous'), true);
    await user._unlinkFrom('anonymous', options);
    assert.equal(user._isLinked('anonymous'), false);
  });

  test('sessions', async () => {
    const user = await signUp('sid');
    const options = { sessionToken: user.getSessionToken() };
    const current = await new Parse.Query(Parse.Session).equalTo('sessionToken', user.getSessionToken()).first(options);
    assert.equal(current.get('user').id, user.id);
    assert.deepEqual(current.get('createdWith'), { action: 'signup', authProvider: 'password' });
    const again = await Parse.User.logIn(user.getUsername(), 'correct horse');
    const mine = await new Parse.Query(Parse.Session).find({ sessionToken: again.getSessionToken() });
    assert.equal(mine.length, 1); // a login on the same installation ends the session before it
    assert.equal(mine[0].get('user').id, user.id);
    await refused(Parse.User.me(user.getSessionToken()), Parse.Error.INVALID_SESSION_TOKEN);
    await refused(new Parse.Query(Parse.Session).find(), Parse.Error.INVALID_SESSION_TOKEN);
    await mine[0].destroy({ sessionToken: again.getSessionToken() });
    await refused(Parse.User.me(again.getSessionToken()), Parse.Error.INVALID_SESSION_TOKEN);
  });

  test('ACLs keep strangers out', async () => {
    const [ann, bob] = [await signUp('ann'), await signUp('bob')];
    const asAnn = { sessionToken: ann.getSessionToken() };
    const asBob = { sessionToken: bob.getSessionToken() };
    const secret = new Parse.Object('Secret', { name: 's' });
    secret.setACL(new Parse.ACL(ann));
    await secret.save(null, asAnn);
    await refused(new Parse.Query('Secret').get(secret.id), Parse.Error.OBJECT_NOT_FOUND);
    await refused(new Parse.Query('Secret').get(secret.id, asBob), Parse.Error.OBJECT_NOT_FOUND);
    assert.equal((await new Parse.Query('Secret').get(secret.id, asAnn)).getACL().getReadAccess(ann), true);
    assert.equal((await new Parse.Query('Secret').get(secret.id, master)).get('name'), 's');

    const acl = secret.getACL();
    acl.setPublicReadAccess(true);
    secret.setACL(acl);
    await secret.save(null, asAnn);
    assert.equal((await new Parse.Query('Secret').get(secret.id, asBob)).get('name'), 's');
    await refused(Parse.Object.fromJSON({ ...secret.toJSON(), className: 'Secret' }).save({ name: 'mine' }, asBob), Parse.Error.OBJECT_NOT_FOUND);
    acl.setWriteAccess(bob.id, true);
    await secret.save({ ACL: acl }, asAnn);
    const shared = await new Parse.Query('Secret').get(secret.id, asBob);
    await shared.save({ name: 'ours' }, asBob);
    assert.equal((await secret.fetch(asAnn)).get('name'), 'ours');
  });

  test('roles, inherited', async () => {
    const [ann, bob, cid] = [await signUp('ann'), await signUp('bob'), await signUp('cid')];
    const open = new Parse.ACL();
    open.setPublicReadAccess(true);
    const admins = new Parse.Role(unique('Admins').replaceAll('-', '_'), open);
    admins.getUsers().add(ann);
    await admins.save(null, master);
    const staff = new Parse.Role(unique('Staff').replaceAll('-', '_'), open);
    staff.getUsers().add(bob);
    staff.getRoles().add(admins); // who is an admin is of the staff, too
    await staff.save(null, master);

    const memo = new Parse.Object('Memo', { name: 'm' });
    const acl = new Parse.ACL();
    acl.setRoleReadAccess(staff, true);
    acl.setRoleWriteAccess(admins, true);
    memo.setACL(acl);
    await memo.save(null, master);
    const read = user => new Parse.Query('Memo').get(memo.id, { sessionToken: user.getSessionToken() });
    assert.equal((await read(ann)).get('name'), 'm');
    assert.equal((await read(bob)).get('name'), 'm');
    await refused(read(cid), Parse.Error.OBJECT_NOT_FOUND);
    await (await read(ann)).save({ name: 'changed' }, { sessionToken: ann.getSessionToken() });
    await refused((await read(bob)).save({ name: 'no' }, { sessionToken: bob.getSessionToken() }), Parse.Error.OBJECT_NOT_FOUND);

    admins.getUsers().remove(ann);
    await admins.save(null, master);
    await refused(read(ann), Parse.Error.OBJECT_NOT_FOUND);
    assert.equal((await new Parse.Query(Parse.Role).equalTo('name', admins.getName()).first()).id, admins.id);
    await refused(new Parse.Role(admins.getName(), open).save(null, master), Parse.Error.DUPLICATE_VALUE);
  });

  test('a mail that cannot be sent is an error, not a silence', async () => {
    await refused(Parse.User.requestPasswordReset('nobody@example.com'), Parse.Error.INTERNAL_SERVER_ERROR);
    await refused(Parse.User.requestEmailVerification('nobody@example.com'), Parse.Error.INTERNAL_SERVER_ERROR);
  });
});

describe('schema, config, analytics, installations', () => {
  test('schema', async () => {
    const schema = new Parse.Schema('Declared');
    schema.addString('name', { required: true }).addNumber('n', { defaultValue: 7 }).addBoolean('b').addDate('d').addArray('l').addObject('o')
      .addGeoPoint('g').addPolygon('p').addFile('f').addPointer('owner', '_User').addRelation('friends', '_User').addIndex('byName', { name: 1 });
    schema.setCLP({ find: { requiresAuthentication: true }, get: { '*': true }, create: { '*': true }, update: {}, delete: {}, addField: {} });
    await schema.save();
    const made = await schema.get();
    assert.equal(made.fields.owner.targetClass, '_User');
    assert.equal(made.fields.n.defaultValue, 7);
    assert.deepEqual(made.indexes.byName, { name: 1 });
    const o = await new Parse.Object('Declared').save({ name: 'x' });
    assert.equal(o.get('n'), 7);
    await refused(new Parse.Object('Declared').save({}), Parse.Error.VALIDATION_ERROR);
    await refused(new Parse.Query('Declared').find(), Parse.Error.OBJECT_NOT_FOUND);
    await refused(o.save({ name: 'y' }), Parse.Error.OPERATION_FORBIDDEN);
    await refused(new Parse.Object('Declared').save({ name: 'x', extra: 1 }), Parse.Error.OPERATION_FORBIDDEN);
    const update = new Parse.Schema('Declared');
    update.deleteField('b').deleteIndex('byName').addString('more');
    const after = await update.update();
    assert.equal(after.fields.b, undefined);
    assert.equal(after.fields.more.type, 'String');
    assert.ok((await Parse.Schema.all()).some(s => s.className === 'Declared'));
    await refused(schema.delete(), Parse.Error.INVALID_SCHEMA_OPERATION);
    await schema.purge();
    await schema.delete();
  });

  test('config', async () => {
    await Parse.Config.save({ motd: 'hello', limit: 3, secret: 'x' }, { secret: true });
    const config = await Parse.Config.get();
    assert.equal(config.get('motd'), 'hello');
    assert.equal(config.get('secret'), undefined);
    assert.equal(config.escape('motd'), 'hello');
    assert.equal((await Parse.Config.get(master)).get('secret'), 'x');
    assert.equal(Parse.Config.current().get('limit'), 3);
  });

  test('analytics are accepted', async () => {
    await Parse.Analytics.track('opened', { source: 'test' });
  });

  test('installations', async () => {
    const id = await Parse._getInstallationId();
    const installation = new Parse.Installation();
    installation.set('deviceType', 'web');
    installation.set('installationId', id);
    installation.set('channels', ['news']);
    await installation.save();
    assert.ok(installation.id);
    const all = await new Parse.Query(Parse.Installation).equalTo('channels', 'news').find(master);
    assert.deepEqual(all.map(i => i.get('installationId')), [id]);
    await refused(new Parse.Query(Parse.Installation).find(), Parse.Error.OPERATION_FORBIDDEN);
  });

  test('features of later versions say so', async () => {
    await refused(Parse.Cloud.run('nothing', {}), Parse.Error.SCRIPT_FAILED);
    await refused(Parse.Cloud.startJob('nothing', {}), Parse.Error.SCRIPT_FAILED);
    await refused(Parse.Push.send({ channels: ['c'], data: { alert: 'a' } }, master), Parse.Error.PUSH_MISCONFIGURED);
    await refused(new Parse.File('a.txt', { base64: 'aGk=' }).save(master), Parse.Error.FILE_SAVE_ERROR);
    assert.deepEqual(await Parse.Cloud.getJobsData(), { in_use: [], jobs: [] });
  });

  test('offline: local datastore pins what was read', async () => {
    Parse.enableLocalDatastore();
    const o = await new Parse.Object('Pinned').save({ name: 'kept' });
    await o.pin();
    assert.deepEqual(names(await new Parse.Query('Pinned').fromLocalDatastore().find()), ['kept']);
    await Parse.Object.unPinAllObjects();
  });
});
