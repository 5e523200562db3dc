// The cloud code of a film club, as an application of Parse Server has it: functions, triggers of every kind that objects and users have,
// validators, a job, requests to another server, and a package from npm.
const Parse2 = require('parse/node'); // the same Parse as the global one
const CryptoJS = require('crypto-js');
const { average, slug } = require('./lib/numbers');

const Movie = Parse.Object.extend('Movie');
const Review = Parse.Object.extend('Review');
const master = { useMasterKey: true };

class Club extends Parse.Object {
  constructor() {
    super('Club');
  }

  get title() {
    return `${this.get('name')} (${this.get('city')})`;
  }
}
Parse.Object.registerSubclass('Club', Club);

// ---- what is kept in the process: with one worker it is there at the next call

let visits = 0;
const cache = new Map();

Parse.Cloud.define('visit', () => ++visits);

Parse.Cloud.define('sameParse', () => Parse2 === Parse);

// ---- movies

Parse.Cloud.beforeSave('Movie', request => {
  const movie = request.object;
  if (!movie.get('title')) {
    throw new Parse.Error(Parse.Error.VALIDATION_ERROR, 'a movie needs a title');
  }
  if (movie.isNew()) {
    movie.set('slug', slug(movie.get('title')));
    movie.set('reviews', 0);
    movie.set('stars', 0);
    const acl = new Parse.ACL();
    acl.setPublicReadAccess(true);
    if (request.user) {
      acl.setWriteAccess(request.user, true);
      movie.set('addedBy', request.user);
    }
    movie.setACL(acl);
  } else if (movie.dirty('title')) {
    movie.set('slug', slug(movie.get('title')));
    movie.add('formerTitles', request.original.get('title'));
  }
  if (movie.get('year') && movie.get('year') < 1888) {
    movie.unset('year');
  }
});

Parse.Cloud.afterSave('Movie', async request => {
  cache.delete(request.object.id);
  const entry = new Parse.Object('Journal');
  entry.set('what', request.object.existed() ? 'changed' : 'added');
  entry.set('movie', request.object);
  entry.set('context', request.context);
  await entry.save(null, { ...master, context: { from: 'afterSave' } });
});

Parse.Cloud.beforeDelete('Movie', async request => {
  const reviews = await new Parse.Query(Review).equalTo('movie', request.object).count(master);
  if (reviews > 0) {
    throw `${reviews} reviews are left`;
  }
});

Parse.Cloud.afterDelete('Movie', request => {
  const entry = new Parse.Object('Journal', { what: 'deleted', title: request.object.get('title') });
  return entry.save(null, master);
});

// ---- reviews

Parse.Cloud.beforeSave('Review', async request => {
  const review = request.object;
  if (review.isNew()) {
    const twice = await new Parse.Query('Review')
      .equalTo('movie', review.get('movie'))
      .equalTo('author', request.user)
      .first({ sessionToken: request.user.getSessionToken() });
    if (twice) {
      throw new Parse.Error(Parse.Error.DUPLICATE_VALUE, 'one review each, please');
    }
    review.set('author', request.user);
    review.set('digest', CryptoJS.SHA256(review.get('text') || '').toString(CryptoJS.enc.Hex));
  }
  review.increment('edits');
}, {
  requireUser: true,
  fields: {
    movie: { required: true },
    stars: { type: Number, required: true, options: stars => stars >= 1 && stars <= 5, error: 'between one and five stars, please' },
    text: { type: String, default: '' },
    language: { default: 'en', constant: true },
  },
});

Parse.Cloud.afterSave('Review', async request => {
  if (request.original) {
    return;
  }
  const movie = request.object.get('movie');
  const all = await new Parse.Query('Review').equalTo('movie', movie).find(master);
  movie.increment('reviews');
  movie.set('stars', average(all.map(one => one.get('stars'))));
  movie.relation('reviewers').add(request.user);
  await movie.save(null, master);
});

Parse.Cloud.beforeFind('Review', request => {
  if (!request.master) {
    request.query.notEqualTo('hidden', true);
  }
});

Parse.Cloud.afterFind('Review', request => {
  for (const review of request.objects) {
    if (review.has('text')) {
      review.set('short', review.get('text').slice(0, 12));
    }
  }
  return request.objects;
});

// ---- clubs: a subclass, and objects that beforeFind makes

Parse.Cloud.beforeSave(Club, request => {
  if (!(request.object instanceof Club)) {
    throw 'not a club';
  }
  request.object.set('label', request.object.title);
});

Parse.Cloud.beforeFind('Almanac', () => [1895, 1927].map(year => Parse.Object.fromJSON({ className: 'Almanac', year })));

// ---- users

Parse.Cloud.beforeSave(Parse.User, request => {
  const user = request.object;
  if (/admin/i.test(user.get('username'))) {
    throw new Parse.Error(Parse.Error.USERNAME_TAKEN, 'that name is reserved');
  }
  if (user.isNew()) {
    user.set('initials', user.get('username').slice(0, 2).toUpperCase());
  }
});

Parse.Cloud.beforeLogin(request => {
  if (request.object.get('banned')) {
    throw new Parse.Error(Parse.Error.OBJECT_NOT_FOUND, 'you are banned');
  }
});

Parse.Cloud.afterLogin(async request => {
  const user = request.object;
  user.increment('logins');
  await user.save(null, { sessionToken: user.getSessionToken() });
});

Parse.Cloud.afterLogout(async request => {
  await new Parse.Object('Journal', { what: 'logout', hasUser: Boolean(request.object.get('user')) }).save(null, master);
});

// ---- functions

Parse.Cloud.define('hello', request => `Hello ${request.params.name || 'world'}`);

Parse.Cloud.define('top', async request => {
  const movies = await new Parse.Query(Movie).descending('stars').limit(request.params.limit).find();
  return movies;
}, { fields: { limit: { type: Number, default: 3, options: n => n <= 10 } } });

Parse.Cloud.define('mine', async request => {
  const query = new Parse.Query('Review').equalTo('author', request.user).include('movie').ascending('createdAt');
  const reviews = await query.find({ sessionToken: request.user.getSessionToken() });
  return reviews.map(review => ({ movie: review.get('movie').get('title'), stars: review.get('stars'), at: review.createdAt }));
}, { requireUser: true });

Parse.Cloud.define('moderate', async request => {
  const review = await new Parse.Query('Review').get(request.params.id, master);
  review.set('hidden', true);
  await review.save(null, master);
  return review.id;
}, { requireAnyUserRoles: ['moderators'] });

Parse.Cloud.define('secret', () => new Parse.Query('Vault').count(), request => {
  if (request.params.word !== 'sesame') {
    throw new Error('wrong word');
  }
});

Parse.Cloud.define('rights', async () => {
  const query = new Parse.Query('Vault');
  return { public: await query.count(), master: await query.count(master) };
});

Parse.Cloud.define('fetchTitle', async request => {
  if (cache.has(request.params.url)) {
    return cache.get(request.params.url);
  }
  const response = await fetch(request.params.url, { headers: { accept: 'application/json' } });
  if (!response.ok) {
    throw new Parse.Error(Parse.Error.CONNECTION_FAILED, `the other server says ${response.status}`);
  }
  const { title } = await response.json();
  cache.set(request.params.url, title);
  return title;
});

Parse.Cloud.define('import', async request => {
  const movies = request.params.titles.map(title => new Movie({ title }));
  await Parse.Object.saveAll(movies, { ...master, context: { imported: true } });
  return movies.map(movie => movie.get('slug'));
}, { requireMaster: true });

Parse.Cloud.define('twice', async request => {
  const once = await Parse.Cloud.run('hello', { name: request.params.name });
  return `${once}, ${once}`;
});

Parse.Cloud.define('signUp', async request => {
  const user = new Parse.User();
  await user.signUp({ username: request.params.username, password: request.params.password });
  const session = await Parse.User.logIn(request.params.username, request.params.password);
  return { id: user.id, token: session.getSessionToken() };
});

Parse.Cloud.define('types', request => ({
  date: request.params.date instanceof Date,
  pointer: request.params.pointer instanceof Parse.Object,
  place: new Parse.GeoPoint(1, 2),
  nested: { list: [request.params.date] },
}));

Parse.Cloud.define('answer', (request, response) => {
  response.status(201).header('x-club', 'film').success({ done: true });
});

Parse.Cloud.define('recursion', request => Parse.Cloud.run('recursion', { n: request.params.n + 1 }));

// ---- a job

Parse.Cloud.job('recount', async request => {
  request.message('counting');
  const movies = await new Parse.Query(Movie).find(master);
  for (const movie of movies) {
    movie.set('reviews', await new Parse.Query('Review').equalTo('movie', movie).count(master));
  }
  await Parse.Object.saveAll(movies, master);
  return `${movies.length} movies`;
});

console.log('the film club is open');
