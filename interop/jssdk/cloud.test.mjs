// The official Parse JavaScript SDK against a running Parley with the cloud code in cloud/main.js. Run by cloud_test.go.
import { test, before, describe } from 'node:test';
import assert from 'node:assert/strict';
import Parse from 'parse/node';

const { PARLEY_TEST_URL, PARLEY_TEST_APP_ID, PARLEY_TEST_MASTER_KEY, PARLEY_TEST_OTHER } = process.env;
const master = { useMasterKey: true };
let ann;
let bob;

before(async () => {
  Parse.initialize(PARLEY_TEST_APP_ID, undefined, PARLEY_TEST_MASTER_KEY);
  Parse.serverURL = PARLEY_TEST_URL;
  ann = await new Parse.User({ username: 'ann', password: 'p' }).signUp();
  bob = await new Parse.User({ username: 'bob', password: 'p' }).signUp();
});

const as = user => ({ sessionToken: user.getSessionToken() });

async function refused(promise, code, message) {
  await assert.rejects(promise, error => {
    assert.equal(`${error.code} ${error.message}`, `${code} ${message}`);
    return true;
  });
}

describe('functions', () => {
  test('answer', async () => {
    assert.equal(await Parse.Cloud.run('hello', { name: 'Ann' }), 'Hello Ann');
    assert.equal(await Parse.Cloud.run('twice', { name: 'Ann' }), 'Hello Ann, Hello Ann');
    assert.equal(await Parse.Cloud.run('sameParse'), true);
  });

  test('keep their state', async () => {
    const first = await Parse.Cloud.run('visit');
    assert.equal(await Parse.Cloud.run('visit'), first + 1);
  });

  test('get and return values of Parse', async () => {
    const date = new Date(0);
    const answer = await Parse.Cloud.run('types', { date, pointer: Parse.Object.fromJSON({ className: 'Movie', objectId: 'abcdefghij' }).toPointer() });
    assert.equal(answer.date, true);
    assert.equal(answer.pointer, true);
    assert.deepEqual([answer.place.latitude, answer.place.longitude], [1, 2]);
    assert.deepEqual(answer.nested.list, [date]);
  });

  test('set the status of their answer', async () => {
    const response = await fetch(`${PARLEY_TEST_URL}/functions/answer`, { method: 'POST', headers: { 'X-Parse-Application-Id': PARLEY_TEST_APP_ID } });
    assert.deepEqual([response.status, response.headers.get('x-club'), await response.json()], [201, 'film', { result: { done: true } }]);
  });

  test('have the rights that they ask for', async () => {
    const vault = new Parse.Object('Vault', { gold: 1 });
    vault.setACL(new Parse.ACL());
    await vault.save(null, master);
    assert.deepEqual(await Parse.Cloud.run('rights'), { public: 0, master: 1 });
    assert.equal(await Parse.Cloud.run('secret', { word: 'sesame' }), 0);
    await refused(Parse.Cloud.run('secret', { word: 'please' }), 142, 'wrong word');
  });

  test('ask other servers', async () => {
    assert.equal(await Parse.Cloud.run('fetchTitle', { url: `${PARLEY_TEST_OTHER}/title` }), 'Metropolis');
    await refused(Parse.Cloud.run('fetchTitle', { url: `${PARLEY_TEST_OTHER}/none` }), 100, 'the other server says 404');
  });

  test('sign users up', async () => {
    const made = await Parse.Cloud.run('signUp', { username: 'cleo', password: 'p' });
    const cleo = await Parse.User.me(made.token);
    assert.equal(cleo.id, made.id);
    assert.equal(cleo.get('initials'), 'CL');
    await refused(Parse.Cloud.run('signUp', { username: 'admin', password: 'p' }), 202, 'that name is reserved');
  });

  test('do not stand in each other without an end', async () => {
    await refused(Parse.Cloud.run('recursion', { n: 0 }), 141, 'Cloud code stands in itself more than 32 times: does a trigger save its own object?');
  });

  test('are guarded by validators', async () => {
    await refused(Parse.Cloud.run('mine'), 142, 'Validation failed. Please login to continue.');
    await refused(Parse.Cloud.run('import', { titles: [] }), 142, 'Validation failed. Master key is required to complete this request.');
    await refused(Parse.Cloud.run('top', { limit: 11 }), 142, 'Validation failed. Invalid value for limit.');
    await refused(Parse.Cloud.run('top', { limit: 'x' }), 142, 'Validation failed. Invalid type for limit. Expected: number');
    await refused(Parse.Cloud.run('moderate', {}, as(ann)), 142, 'Validation failed. User does not match the required roles.');
  });
});

describe('triggers', () => {
  let movie;

  test('change what is saved', async () => {
    movie = await new Parse.Object('Movie', { title: 'The Cabinet of Dr. Caligari', year: 1920 }).save(null, { ...as(ann), context: { source: 'test' } });
    assert.equal(movie.get('slug'), 'the-cabinet-of-dr-caligari');
    assert.equal(movie.get('addedBy').id, ann.id);
    assert.equal(movie.getACL().getWriteAccess(ann), true);
    const entry = await new Parse.Query('Journal').equalTo('movie', movie).first();
    assert.deepEqual([entry.get('what'), entry.get('context')], ['added', { source: 'test' }]);
    movie.set({ title: 'Caligari', year: 1700 });
    await movie.save(null, as(ann));
    const read = await new Parse.Query('Movie').get(movie.id);
    assert.deepEqual([read.get('slug'), read.get('formerTitles'), read.get('year')], ['caligari', ['The Cabinet of Dr. Caligari'], undefined]);
    assert.equal(await new Parse.Query('Journal').equalTo('movie', movie).equalTo('what', 'changed').count(), 1);
  });

  test('refuse what is saved', async () => {
    await refused(new Parse.Object('Movie').save(), 142, 'a movie needs a title');
    await refused(new Parse.Object('Review', { movie, stars: 5 }).save(), 142, 'Validation failed. Please login to continue.');
    await refused(new Parse.Object('Review', { stars: 5 }).save(null, as(ann)), 142, 'Validation failed. Please specify data for movie.');
    await refused(new Parse.Object('Review', { movie, stars: 6 }).save(null, as(ann)), 142, 'between one and five stars, please');
  });

  test('write and read other objects', async () => {
    const review = await new Parse.Object('Review', { movie, stars: 4, text: 'crooked houses, straight acting', language: 'de' }).save(null, as(ann));
    assert.equal(review.get('language'), 'en');
    assert.equal(review.get('edits'), 1);
    assert.match(review.get('digest'), /^[0-9a-f]{64}$/);
    await new Parse.Object('Review', { movie, stars: 1 }).save(null, as(bob));
    await refused(new Parse.Object('Review', { movie, stars: 1 }).save(null, as(bob)), 137, 'one review each, please');
    const read = await new Parse.Query('Movie').get(movie.id);
    assert.deepEqual([read.get('reviews'), read.get('stars')], [2, 2.5]);
    assert.equal(await read.relation('reviewers').query().count(master), 2);
    review.increment('edits', 2);
    await review.save(null, as(ann));
    assert.equal((await new Parse.Query('Review').get(review.id)).get('edits'), 4);
    const mine = await Parse.Cloud.run('mine', {}, as(ann));
    assert.deepEqual(mine.map(one => [one.movie, one.stars, one.at instanceof Date]), [['Caligari', 4, true]]);
  });

  test('change what is found', async () => {
    const found = await new Parse.Query('Review').descending('stars').find();
    assert.deepEqual(found.map(one => one.get('short')), ['crooked hous', '']);
    const role = new Parse.Role('moderators', new Parse.ACL());
    role.getUsers().add(bob);
    await role.save(null, master);
    await Parse.Cloud.run('moderate', { id: found[0].id }, as(bob));
    assert.equal(await new Parse.Query('Review').count(), 1);
    assert.equal(await new Parse.Query('Review').count(master), 2);
    const almanac = await new Parse.Query('Almanac').find();
    assert.deepEqual(almanac.map(one => one.get('year')), [1895, 1927]);
  });

  test('know subclasses', async () => {
    const club = await new Parse.Object('Club', { name: 'Film', city: 'Berlin' }).save();
    assert.equal(club.get('label'), 'Film (Berlin)');
  });

  test('guard deletes', async () => {
    await refused(movie.destroy(as(ann)), 141, '2 reviews are left');
    await Parse.Object.destroyAll(await new Parse.Query('Review').find(master), master);
    await movie.destroy(as(ann));
    assert.equal(await new Parse.Query('Journal').equalTo('what', 'deleted').count(), 1);
  });

  test('run in batches', async () => {
    assert.deepEqual(await Parse.Cloud.run('import', { titles: ['M', 'Die Nibelungen'] }, master), ['m', 'die-nibelungen']);
    assert.equal(await new Parse.Query('Journal').equalTo('context.imported', true).count(), 2);
    const top = await Parse.Cloud.run('top');
    assert.deepEqual(top.map(one => [one.className, one.get('title')]).sort(), [['Movie', 'Die Nibelungen'], ['Movie', 'M']]);
  });

  test('guard logins', async () => {
    assert.equal(ann.get('initials'), 'AN');
    await Parse.User.logIn('ann', 'p');
    const again = await Parse.User.logIn('ann', 'p');
    assert.ok(again.get('logins') >= 1);
    bob.set('banned', true);
    await bob.save(null, master);
    await refused(Parse.User.logIn('bob', 'p'), 101, 'you are banned');
    await fetch(`${PARLEY_TEST_URL}/logout`, { method: 'POST', headers: { 'X-Parse-Application-Id': PARLEY_TEST_APP_ID, 'X-Parse-Session-Token': again.getSessionToken() } });
    const entry = await new Parse.Query('Journal').equalTo('what', 'logout').first();
    assert.equal(entry.get('hasUser'), true);
  });
});
